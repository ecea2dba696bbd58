// annotated
