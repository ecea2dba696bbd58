console.log("main on-failure");
