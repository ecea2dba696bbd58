console.log("pre of greet");
