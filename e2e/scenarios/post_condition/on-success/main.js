console.log("main on-success");
