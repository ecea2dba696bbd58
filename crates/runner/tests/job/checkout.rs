//! The built-in `actions/checkout`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use model::Conclusion::{Failure, Success};
use runner::source::WorkTree;
use runner::{CheckoutRequest, SourceError, SourceProvider};
use tokio::io::AsyncRead;

use crate::bench::{Bench, StepExt, job, run, run_expression, uses};

/// A tree of one file: the run's own, and `octo/data` for who shows the token.
struct Tree;

#[async_trait]
impl SourceProvider for Tree {
    async fn archive(
        &self,
        request: &CheckoutRequest,
    ) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>, SourceError> {
        let text = match (request.repository.as_str(), request.token.0.as_str()) {
            ("", _) => "own",
            ("octo/data", "t0ken") => "theirs",
            _ => return Ok(None),
        };
        if request.reference == "none" {
            return Err(SourceError { what: "none".to_owned(), reason: "no such branch".to_owned() });
        }
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, "größe.txt", text.as_bytes()).unwrap();
        Ok(Some(Box::new(std::io::Cursor::new(tar.into_inner().unwrap()))))
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.services.checkout = Some(Arc::new(Tree));
    bench
}

#[tokio::test]
async fn the_runs_own_tree_replaces_what_was_there() {
    let steps = vec![
        run("echo old > old.txt"),
        uses("actions/checkout@v4", &[]).id("co"),
        run("ls; cat größe.txt"),
        run_expression("format('echo {0} {1}', steps.co.outputs.ref, steps.co.outputs.commit)"),
    ];
    let outcome = bench().run(job(steps)).await;
    assert_eq!(outcome.output(), ["größe.txt", "own", "refs/heads/main abc"], "{}", outcome.all());
}

#[tokio::test]
async fn another_repository_is_asked_for_with_the_token_of_the_step() {
    let inputs = [("repository", "octo/data"), ("token", "t0ken"), ("path", "data")];
    let steps = vec![uses("actions/checkout@v5", &inputs), run("cat data/größe.txt")];
    let outcome = bench().run(job(steps)).await;
    assert_eq!(outcome.output(), ["theirs"], "{}", outcome.all());
}

#[tokio::test]
async fn what_cannot_be_checked_out_fails_the_step_with_a_reason() {
    let steps = vec![
        uses("actions/checkout@v4", &[("ref", "none")]),
        uses("actions/checkout@v4", &[("repository", "octo/gone")]).when("always()"),
        uses("actions/checkout@v4", &[("path", "../..")]).when("always()"),
        uses("actions/checkout@v4", &[("depth", "1")]).when("always()"),
    ];
    let outcome = bench().run(job(steps)).await;
    assert_eq!(outcome.conclusions(), [Failure, Failure, Failure, Success], "{}", outcome.all());
    let messages = outcome.messages();
    assert!(messages.iter().any(|message| message.contains("no such branch")), "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("can't get octo/gone")), "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("is not under")), "{messages:?}");
    assert!(
        messages.iter().any(|message| message.starts_with("Unexpected input(s) 'depth'")),
        "{messages:?}"
    );
}

/// A bench whose run is about a repository with this origin.
fn with_repository(origin: &str) -> Bench {
    let mut bench = Bench::new();
    let tree = bench.root.path().join("tree");
    let git = |args: &[&str]| {
        let settings =
            ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
        let status = Command::new("git").args(settings).arg("-C").arg(&tree).args(args).status();
        assert!(status.unwrap().success(), "git {args:?}");
    };
    bench.write("tree/file.txt", "text");
    git(&["init", "-q"]);
    git(&["remote", "add", "origin", origin]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    bench.services.checkout = Some(Arc::new(WorkTree::new(tree)));
    bench
}

/// Everything that the job has left in its machine.
fn left(bench: &Bench) -> String {
    let output =
        Command::new("grep").args(["-r", "-a", "", "."]).current_dir(Path::new(&bench.path("work"))).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

/// Prints the header that git would send, so that masks don't hide it, and where a URL leads.
const SHOW: &str = "git config --get-urlmatch http.extraheader https://github.com/octo/app | tr 'A-Za-z' 'N-ZA-Mn-za-m'\n\
    git ls-remote --get-url origin";

/// `AUTHORIZATION: basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=` as [`SHOW`] prints it.
const HEADER: &str = "NHGUBEVMNGVBA: onfvp rP1uL2Ayp3ZgqT9eMJ46qQOeMJ4=";

#[tokio::test]
async fn later_steps_use_the_token_until_the_job_ends() {
    let bench = with_repository("git@github.com:octo/app.git");
    let steps = vec![uses("actions/checkout@v6", &[("token", "t0ken")]), run(SHOW)];
    let outcome = bench.run(job(steps)).await;
    assert_eq!(outcome.output(), [HEADER, "https://github.com/octo/app.git"], "{}", outcome.all());
    assert_eq!(outcome.names().last(), Some(&"Complete job"));
    assert!(outcome.names().iter().any(|name| name.starts_with("Post ")), "{:?}", outcome.names());
    let left = left(&bench);
    assert!(!left.contains("eC1hY2Nlc3Mt") && !left.contains("git-credentials"), "{left}");
    assert!(left.contains("[remote \"origin\"]"), "the clone is still one");
    assert!(!outcome.all().contains("eC1hY2Nlc3MtdG9rZW46dDBrZW4"), "{}", outcome.all());
}

#[tokio::test]
async fn a_step_may_keep_its_token_to_itself() {
    let bench = with_repository("https://github.com/octo/app");
    let inputs = [("token", "t0ken"), ("persist-credentials", "false")];
    let outcome = bench.run(job(vec![uses("actions/checkout@v6", &inputs), run(SHOW)])).await;
    assert_eq!(outcome.output(), ["https://github.com/octo/app"], "{}", outcome.all());
    assert!(!outcome.names().iter().any(|name| name.starts_with("Post ")), "{:?}", outcome.names());
}

#[tokio::test]
async fn later_steps_use_the_key_until_the_job_ends() {
    let bench = with_repository("https://github.com/octo/app");
    let inputs = [("ssh-key", "-----BEGIN\nsecretkey\n-----END"), ("ssh-known-hosts", "h ssh-ed25519 AAAA")];
    let show = "command=$(git config core.sshCommand)\n\
        key=$(echo \"$command\" | sed 's/.*-i \"\\([^\"]*\\)\".*/\\1/')\n\
        stat -c %a \"$key\"; tail -n +2 \"$key\" | head -n 1 | tr a-z b-za\n\
        hosts=$(echo \"$command\" | sed 's/.*KnownHostsFile=\\([^ ]*\\) .*/\\1/')\n\
        cut -d' ' -f1 \"$hosts\" | sort -u; git ls-remote --get-url origin";
    let outcome = bench.run(job(vec![uses("actions/checkout@v6", &inputs), run(show)])).await;
    let expected = ["600", "tfdsfulfz", "github.com", "h", "git@github.com:octo/app"];
    assert_eq!(outcome.output(), expected, "{}", outcome.all());
    assert!(!left(&bench).contains("secretkey"), "{}", left(&bench));
    assert!(!outcome.all().contains("secretkey"), "{}", outcome.all());
}

#[tokio::test]
async fn without_clean_the_files_of_the_job_stay() {
    let again = |clean: &'static str| uses("actions/checkout@v4", &[("clean", clean)]);
    let steps = vec![
        uses("actions/checkout@v4", &[]),
        run("echo new > made.txt; echo changed > file.txt; git -c user.name=T -c user.email=t commit -qam x"),
        again("false"),
        run("cat made.txt file.txt; echo; git status --short; git log --format=%s"),
        again("true"),
        run("ls"),
    ];
    let outcome = with_repository("https://github.com/octo/app").run(job(steps)).await;
    assert_eq!(outcome.output(), ["new", "text", "?? made.txt", "first", "file.txt"], "{}", outcome.all());
}

#[tokio::test]
async fn code_of_a_fork_is_refused_where_it_would_get_the_repositorys_rights() {
    let fork = |version: &str, allow: &str| {
        let inputs = [("ref", "refs/pull/7/merge"), ("allow-unsafe-pr-checkout", allow)];
        uses(&format!("actions/checkout@{version}"), &inputs).when("always()")
    };
    let mut job = job(vec![fork("v7", "false"), fork("v7", "true"), fork("v4", "false")]);
    job.contexts.github["event_name"] = "pull_request_target".into();
    job.contexts.github["event"] = serde_json::json!({"repository": {"id": 1},
        "pull_request": {"head": {"repo": {"id": 2, "full_name": "fork/app"}}}});
    let outcome = with_repository("https://github.com/octo/app").run(job).await;
    assert_eq!(outcome.conclusions(), [Failure, Success, Success], "{}", outcome.all());
    assert!(outcome.messages()[0].contains("allow-unsafe-pr-checkout: true"), "{:?}", outcome.messages());
}
