console.log("post of greet");
