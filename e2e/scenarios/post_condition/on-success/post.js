console.log("post on-success");
