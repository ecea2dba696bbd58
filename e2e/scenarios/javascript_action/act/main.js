const fs = require("fs");
const input = (name) => process.env[`INPUT_${name.replace(/ /g, "_").toUpperCase()}`] ?? "";
const word = input("number") === "1" ? "one" : "two";
console.log(`main ${word}: input=${input("number")} default=${input("standard")} spaced=${input("Spaced Out")}`);
fs.appendFileSync(process.env.GITHUB_OUTPUT, `out=out-${input("number")}\n`);
fs.appendFileSync(process.env.GITHUB_STATE, `kept<<EOF\nstate-${input("number")}\nEOF\n`);
