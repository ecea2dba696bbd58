// Does to the machine what the action does: a clone whose settings name a file with the token, until the post.
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { GITHUB_SERVER_URL: server, RUNNER_TEMP: temp, GITHUB_WORKSPACE: workspace } = process.env;
const git = (...words) => execFileSync('git', words, { cwd: workspace, encoding: 'utf8' });

if (process.env.STATE_isPost) {
  git('config', '--local', '--remove-section', `includeIf.gitdir:${workspace}/.git`);
  fs.rmSync(process.env.STATE_file);
  console.log(`files left: ${fs.readdirSync(temp).filter((name) => name.startsWith('git-credentials')).length}`);
} else {
  const token = process.env.INPUT_TOKEN;
  if (!token) {
    console.log('::error::Input required and not supplied: token');
    process.exit(1);
  }
  fs.appendFileSync(process.env.GITHUB_STATE, 'isPost=true\n');
  const header = Buffer.from(`x-access-token:${token}`).toString('base64');
  console.log(`::add-mask::${header}`);
  console.log(`fetch ${server}/${process.env.INPUT_REPOSITORY} by ${token}`);
  console.log(`api ${process.env.GITHUB_API_URL}`);
  git('init', '--quiet', '--initial-branch=main');
  git('remote', 'add', 'origin', `${server}/${process.env.INPUT_REPOSITORY}`);
  const file = path.join(temp, 'git-credentials-x.config');
  fs.appendFileSync(process.env.GITHUB_STATE, `file=${file}\n`);
  git('config', '--file', file, `http.${server}/.extraheader`, `AUTHORIZATION: basic ${header}`);
  git('config', '--local', `includeIf.gitdir:${workspace}/.git.path`, file);
}
