//! The built-in `actions/checkout`.

use std::sync::Arc;

use async_trait::async_trait;
use model::Conclusion::{Failure, Success};
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
