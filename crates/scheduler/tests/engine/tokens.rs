//! Tokens of jobs that GitHub does not make.

use std::sync::Arc;
use std::time::Duration;

use ::forge::github::app::App;
use ::forge::github::client::retry::Pace;
use ::forge::github::client::{Auth, Client};
use model::{Access, Permissions, RepositoryId, Secret, TokenTerms};
use scheduler::token::{Installed, Tokens};
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::forge::{FakeForge, Fault};
use crate::house::{House, Place};

/// Opens nothing: the key of the tests of `forge`.
const KEY: &str = include_str!("../../../forge/src/github/app/test_key_pkcs1.pem");

/// As persistent as usual, and a thousand times as fast.
const HASTE: Pace = Pace {
    first: Duration::from_millis(1),
    limited: Duration::from_millis(60),
    longest: Duration::from_secs(5),
    tries: 5,
};

fn tokens(house: &House, forge: &FakeForge) -> Tokens {
    let app = App::new("Iv1.hearth", &Secret(KEY.to_owned())).expect("an App");
    let client = Client::with_pace(&forge.url(), Auth::App(Arc::new(app)), Duration::from_secs(5), HASTE);
    Tokens {
        store: Arc::clone(&house.store),
        app: Some(client.expect("a client")),
        ending: TaskTracker::new(),
        installed: Installed::default(),
    }
}

async fn mint(tokens: &Tokens) -> Result<TokenTerms, String> {
    let asked = Permissions::from([("contents".to_owned(), Access::Write)]);
    tokens.mint(RepositoryId(1), "octo/hello", &asked).await.map(|token| token.terms().clone())
}

#[tokio::test]
async fn where_the_app_is_not_installed_a_job_does_without_and_where_github_fails_it_is_tried_again() {
    let place = Place::new("on: push\njobs: {}\n");
    let (house, forge) = (place.house().await, FakeForge::start());
    let tokens = tokens(&house, &forge);
    let refuse = |status, message| move |_: &str| Some(Fault::Refuse(status, Vec::new(), message));
    forge.fail(refuse(404, "Not Found"));
    let withheld = TokenTerms::Withheld("the GitHub App is not installed on octo/hello".to_owned());
    assert_eq!(mint(&tokens).await, Ok(withheld));
    forge.fail(refuse(503, "down"));
    let reason = mint(&tokens).await.expect_err("no token");
    assert!(reason.starts_with("there is no GITHUB_TOKEN for the job: can't ask who installed"), "{reason}");
    forge.show("/repos/octo/hello/installation", json!({"id": 9}));
    forge.show("/app/installations/9", json!({"permissions": {"contents": "read"}}));
    forge.fail(|what| {
        what.contains("access_tokens")
            .then(|| Fault::Refuse(403, Vec::new(), "This installation has been suspended"))
    });
    let reason = mint(&tokens).await.expect_err("no token");
    assert!(reason.contains("GitHub answers 403: This installation has been suspended"), "{reason}");
    forge.fail(|_| None);
    let reason = mint(&tokens).await.expect_err("no token");
    assert!(reason.contains("can't be understood"), "{reason}");
    let (_, asked) = forge.heard().pop().expect("a call");
    let permissions = json!({"contents": "read", "metadata": "read"});
    assert_eq!(
        asked,
        json!({"repositories": ["hello"], "permissions": permissions}),
        "as much as the App may"
    );
}
