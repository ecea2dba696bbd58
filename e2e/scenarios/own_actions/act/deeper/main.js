require('fs').appendFileSync(process.env.GITHUB_OUTPUT, 'said=main of the own action\n');
