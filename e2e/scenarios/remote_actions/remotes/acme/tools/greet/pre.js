console.log("pre of greet");
require("fs").appendFileSync(process.env.GITHUB_OUTPUT, "greeting=of pre\n");
