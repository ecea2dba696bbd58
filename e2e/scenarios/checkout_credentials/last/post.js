const fs = require('fs');
const left = fs.readdirSync(process.env.RUNNER_TEMP).filter((name) => name.startsWith('git-credentials'));
const config = fs.readFileSync(`${process.env.GITHUB_WORKSPACE}/second/.git/config`, 'utf8');
console.log(`credentials at the end: ${left.length + (config.includes('git-credentials') ? 1 : 0)}`);
