const number = process.env.INPUT_NUMBER;
console.log(`post ${number === "1" ? "one" : "two"}: state=${process.env.STATE_kept}`);
