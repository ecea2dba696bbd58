const { INPUT_NUMBER, INPUT_FLAG, INPUT_EMPTY, INPUT_FALLBACK, INPUT_MULTI } = process.env;
console.log(
  `number=${INPUT_NUMBER} flag=${INPUT_FLAG} empty=[${INPUT_EMPTY}] fallback=${INPUT_FALLBACK}` +
    ` multi=${INPUT_MULTI.trim().split("\n").join("+")}`,
);
