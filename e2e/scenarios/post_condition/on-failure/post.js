console.log("post on-failure");
