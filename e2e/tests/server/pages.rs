//! The pages in a real browser, over a real server: each story is a module of `e2e/clients/src/browser`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use hearth_e2e::served::{Forge, Repository, Server};
use serde_json::{Value as Json, json};

use crate::gates::Gates;

/// Two jobs after one that waits at two gates. One of them fails in a first and a second attempt.
const FLOW: &str = "\
name: CI
on: [push, pull_request]
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
    - name: Compile
      run: |
        echo 'the first half of the door'
        GATE half
        echo 'the second half of the door'
        GATE end
    - run: echo '### A door' >> \"$GITHUB_STEP_SUMMARY\"
  test:
    needs: build
    strategy: {fail-fast: false, matrix: {os: [linux, macos]}}
    runs-on: ubuntu-latest
    steps:
    - name: Test
      run: '[ ${{ matrix.os }} = linux ] || [ \"$GITHUB_RUN_ATTEMPT\" = 3 ] || exit 3'
";

/// One job with a long log.
const TALK: &str = "\
name: CI
on: [push, pull_request]
jobs:
  talk:
    runs-on: ubuntu-latest
    steps:
    - name: Talk
      run: |
        echo '::group::Words'
        for n in 1 2 3; do echo \"within the group $n\"; done
        echo '::endgroup::'
        seq -f 'word %.0f' 700
        printf 'here is nee%s\\n' 'dle one'
        seq -f 'word %.0f' 701 1500
        printf 'here is nee%s\\n' 'dle two'
        seq -f 'word %.0f' 1501 2400
";

/// A whole server with a repository, and gates.
struct House {
    gates: Gates,
    repository: Repository,
    server: Server,
    sha: String,
    // Speaks to the server until its end.
    _forge: Forge,
}

impl House {
    fn new(flow: &str) -> House {
        let (gates, forge) = (Gates::start(), Forge::start());
        let flow: Vec<String> = flow
            .lines()
            .map(|line| match line.split_once("GATE ") {
                Some((indent, gate)) => format!("{indent}{}", gates.script(gate)),
                None => line.to_owned(),
            })
            .collect();
        let repository = Repository::new(&(flow.join("\n") + "\n"));
        let sha = repository.commit("word.txt", "tinder");
        // A job of a fork needs no machine that this test would have to emulate.
        let server =
            Server::configured(&repository, &forge, json!({"serve": {"untrusted-isolation": "namespaces"}}));
        House { gates, repository, server, sha, _forge: forge }
    }

    /// One whose first run goes on as far as it can.
    fn with_a_push(flow: &str) -> House {
        let house = House::new(flow);
        house.push();
        house
    }

    fn push(&self) {
        assert_eq!(self.server.deliver("push", &self.repository.push(&self.sha), "d-1").0, 200);
    }

    fn token(&self, role: &str) -> Json {
        let wish = json!({"name": format!("{role}-in-a-browser"), "role": role});
        let (status, made) = self.server.tell("POST /api/v1/tokens", &wish);
        assert_eq!(status, 201, "{made}");
        made["token"].clone()
    }

    /// Plays a story in a browser.
    fn play(&self, story: &str) {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let pictures = env!("CARGO_TARGET_TMPDIR");
        let premises = json!({
            "url": self.server.url(), "gates": self.gates.url(), "pictures": pictures,
            "tokens": {
                "admin": self.server.admin_token(), "operate": self.token("operate"), "read": self.token("read"),
            },
        });
        let mut browser = Command::new("node")
            .arg(clients.join("src/browser.js"))
            .arg(story)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node");
        let mut input = browser.stdin.take().expect("piped");
        input.write_all(premises.to_string().as_bytes()).expect("taken");
        drop(input);
        let played = browser.wait_with_output().expect("ended");
        let said = [played.stdout, played.stderr].concat();
        assert!(played.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn who_has_a_wrong_token_stays_outside_and_who_has_a_right_one_comes_where_they_wanted() {
    House::new(TALK).play("sign-in");
}

#[test]
fn a_run_is_watched_from_its_push_to_its_end_without_loading_a_page_again() {
    let house = House::new(FLOW);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            house.gates.wait("push");
            house.push();
        });
        house.play("live");
    });
}

#[test]
fn a_long_log_is_searched_folded_and_linked_to_line_by_line() {
    let house = House::with_a_push(TALK);
    house.server.ended(1);
    house.play("log");
}

#[test]
fn a_run_is_cancelled_and_run_again_and_then_what_failed_of_it() {
    House::with_a_push(FLOW).play("actions");
}

#[test]
fn a_strangers_pull_request_runs_once_somebody_approves_it() {
    let house = House::new(TALK);
    let pull = house.repository.pull(&house.sha);
    assert_eq!(house.server.deliver("pull_request", &pull, "d-1").0, 200);
    house.play("fork");
}

#[test]
fn a_reader_and_another_site_can_change_nothing_from_a_browser() {
    House::with_a_push(FLOW).play("reader");
}

#[test]
fn pages_are_read_without_javascript() {
    let house = House::with_a_push(TALK);
    house.server.ended(1);
    house.play("plain");
}

#[test]
fn pages_are_used_by_the_keyboard_alone() {
    let house = House::with_a_push(TALK);
    house.server.ended(1);
    house.play("keys");
}

#[test]
fn pages_fit_a_phone_and_everybody_can_read_them_in_light_and_dark() {
    let house = House::with_a_push(TALK);
    house.server.ended(1);
    house.play("looks");
}
