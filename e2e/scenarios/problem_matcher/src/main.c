int main(void) { return 0; }
@@ problem_matcher/src/große datei.c
int main(void) { return 0; }
