const greeting = `hello ${process.env.INPUT_WHO}`;
console.log(`main of greet: ${greeting}`);
require("fs").appendFileSync(process.env.GITHUB_OUTPUT, `greeting=${greeting}\n`);
