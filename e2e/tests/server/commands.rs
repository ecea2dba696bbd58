//! What people do with a server from a terminal.

use hearth_e2e::served::{Forge, Repository, Server};

use crate::gates::Gates;

const FLOW: &str = "\
name: CI
on: [push, workflow_dispatch]
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo \"first of build\"
          echo \"second of build\"
  test:
    needs: build
    strategy: {fail-fast: false, matrix: {n: [1, 2]}}
    runs-on: ubuntu-latest
    steps:
      - run: echo fine ${{ matrix.n }}
      - name: Break
        run: |
          echo \"bad ${{ matrix.n }}\"
          test ${{ matrix.n }} != 2
";

/// A server that has begun run 1 of [`FLOW`].
fn served() -> (Repository, Forge, Server) {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    assert_eq!(server.deliver("push", &repository.push(&sha), "d-1").0, 200);
    (repository, forge, server)
}

#[test]
fn a_run_is_followed_looked_at_and_run_again() {
    let (_repository, _forge, server) = served();
    server.until_run(1);
    let followed = server.hearth(&["logs", "1", "-f", "--exit-status"], "");
    assert_eq!(followed.code, Some(1), "{followed:?}");
    // Names are as wide as those of the jobs that are known so far.
    let said =
        |line: &str| line.split_once('│').map(|(job, text)| format!("{}: {}", job.trim(), text.trim()));
    let lines: Vec<String> = followed.out.lines().filter_map(said).collect();
    for line in ["test (2): bad 2", "test (1): fine 1"] {
        assert!(lines.iter().any(|said| said == line), "{line}: {followed:?}");
    }
    let of_build: Vec<&String> = lines.iter().filter(|line| line.ends_with(" of build")).collect();
    assert_eq!(of_build, ["build: first of build", "build: second of build"], "each once, in order");
    assert!(followed.err.contains("job test (2): failure"), "{followed:?}");

    let failed = server.hearth(&["logs", "1", "--failed"], "").out;
    assert!(failed.contains("bad 2") && !failed.contains("fine") && !failed.contains("of build"), "{failed}");
    let shown = server.hearth(&["runs", "1"], "").out;
    assert!(shown.contains("✗ Break") && shown.contains("hearth logs 1 --failed"), "{shown}");
    let listed = server.hearth(&["runs", "-s", "failure", "--format", "json"], "").json();
    assert_eq!(listed["runs"][0]["id"], 1, "{listed}");
    assert_eq!(server.hearth(&["runs", "-s", "success"], "").out, "");

    let again = server.hearth(&["rerun", "1", "--failed"], "");
    assert_eq!(again.out, "run 1, attempt 2\n", "{again:?}");
    assert_eq!(server.hearth(&["logs", "1", "test (2)", "-f", "--exit-status"], "").code, Some(1));
    let old = server.hearth(&["logs", "1", "build", "--attempt", "1"], "").out;
    assert_eq!(old.lines().filter(|line| *line == "first of build").count(), 1, "{old}");
    let unknown = server.hearth(&["logs", "1", "bild"], "");
    assert!(unknown.err.contains("its jobs: build, test (1), test (2)"), "{unknown:?}");
}

#[test]
fn runs_are_started_and_settings_kept_by_who_may() {
    let (_repository, _forge, server) = served();
    server.ended(1);
    let started = server.hearth(&["dispatch", "octo/hello", "ci.yml", "--format", "json"], "").json();
    assert_eq!(started["runs"][0]["event"], "workflow_dispatch", "{started}");
    assert_eq!(server.hearth(&["cancel", "2", "--reason", "enough"], "").code, Some(0));
    assert_eq!(server.ended(2)["conclusion"], "cancelled");

    let set = server.hearth(&["secret", "set", "npm_token", "-R", "octo/hello"], "hush\n");
    assert_eq!((set.code, set.out.as_str(), set.err.as_str()), (Some(0), "", ""), "{set:?}");
    let wrong = server.hearth(&["secret", "set", "npm_token", "-R", "octo/helo"], "hush\n");
    assert!(wrong.code == Some(0) && wrong.err.contains("heard of no repository octo/helo"), "{wrong:?}");
    let listed = server.hearth(&["secret", "ls", "-R", "octo/hello"], "").out;
    assert!(listed.contains("NPM_TOKEN") && !listed.contains("hush"), "{listed}");
    assert_eq!(server.hearth(&["variable", "set", "REGION", "eu-1", "--org", "octo"], "").code, Some(0));
    assert!(server.hearth(&["variable", "ls", "--org", "octo"], "").out.contains("eu-1"));
    assert_eq!(server.hearth(&["secret", "rm", "NPM_TOKEN", "-R", "octo/hello"], "").code, Some(0));

    let token = server.hearth(&["token", "create", "ci", "--role", "read", "--days", "1"], "");
    assert!(token.out.starts_with("hearth_") && token.err.contains("not shown a second time"), "{token:?}");
    let refused = server.hearth_as(token.out.trim(), &["rerun", "1"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("this needs the role operate, and ci has the role read"), "{refused:?}");
    assert_eq!(server.hearth_as(token.out.trim(), &["runs"]).code, Some(0));
    let unknown = server.hearth_as("hearth_wrong", &["runs"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("put another into HEARTH_TOKEN"), "{unknown:?}");
    let missing = server.hearth(&["runs", "99"], "");
    assert_eq!((missing.code, missing.err.as_str()), (Some(2), "hearth: there is no run 99\n"));
    let nobody = server.hearth(&["runs", "--server", "http://127.0.0.1:9"], "");
    assert!(nobody.code == Some(5) && nobody.err.contains("is `hearth serve` running there?"), "{nobody:?}");
}

#[test]
fn a_log_is_followed_before_its_run_is_there_and_across_servers_that_die_with_each_line_once() {
    let gates = Gates::start();
    let (forge, steps) = (
        Forge::start(),
        ["first", "second"].map(|gate| {
            format!("      - run: echo before {gate}; {}; echo after {gate}\n", gates.script(gate))
        }),
    );
    let flow =
        format!("on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n{}", steps.concat());
    let repository = Repository::new(&flow);
    let sha = repository.commit("word.txt", "tinder");
    let mut server = Server::start(&repository, &forge);
    let unknown = server.hearth(&["logs", "1"], "");
    assert_eq!((unknown.code, unknown.err.as_str()), (Some(2), "hearth: there is no run 1\n"));
    let mut followed = server.begin(&["logs", "1", "build", "-f"]);
    server.deliver("push", &repository.push(&sha), "d-1");
    followed.until("before first");
    // It dies while the job runs, which begins anew; the first try stays in the log.
    server.kill();
    server.start_again_there();
    gates.open("first");
    followed.until("before second");
    gates.open("second");
    let ended = followed.ended();
    let whole = server.hearth(&["logs", "1", "build"], "").out;
    assert_eq!(ended.out, whole, "{}", ended.err);
    assert_eq!(whole.lines().filter(|line| *line == "before first").count(), 2, "{whole}");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.err.contains("there is no run 1 yet") && ended.err.contains("the server is there again"),
        "{}",
        ended.err
    );
}

const DEPLOY: &str = "\
name: CI
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - run: echo out
";

#[test]
fn jobs_are_let_into_their_environments_and_deliveries_are_worked_on_again() {
    let (repository, forge) = (Repository::new(DEPLOY), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    let said = |args: &[&str]| server.hearth(args, "").out;
    assert_eq!(
        server.hearth(&["repos"], "").err,
        "hearth: no repository is known yet; each is with its first webhook\n"
    );
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success", "nobody has configured the environment");
    assert!(said(&["repos"]).starts_with("octo/hello\tmain\t"));

    let rules = ["environment", "set", "production", "-R", "octo/hello", "--approval", "--branch", "main"];
    let set = server.hearth(&rules, "");
    assert_eq!((set.code, set.out.as_str(), set.err.as_str()), (Some(0), "", ""));
    assert_eq!(
        said(&["environment", "ls", "-R", "octo/hello"]),
        "production\tall who may operate\t-\tmain\t\n"
    );
    let slow =
        ["environment", "set", "slow", "-R", "octo/hello", "--approval", "--prevent-self-review", "-w", "30"];
    assert_eq!(server.hearth(&slow, "").code, Some(0));
    let listed = said(&["environment", "ls", "-R", "octo/hello"]);
    assert!(listed.contains("slow\tall who may operate, not who caused it\t30 min\t\t\n"), "{listed}");
    assert_eq!(server.hearth(&["environment", "rm", "slow", "-R", "octo/hello"], "").code, Some(0));

    assert_eq!(said(&["redeliver", "1"]), "delivery 2\n");
    server.job_is(2, "deploy", "waiting");
    let waiting = said(&["queue", "--approval"]);
    let cells: Vec<&str> = waiting.trim_end().split('\t').collect();
    assert_eq!((cells[1], cells[3], cells[4]), ("2", "deploy", "octo/hello"), "{waiting}");
    assert_eq!(cells[5], "waits for approval to use the environment `production`");
    let whole = server.hearth(&["approve", "2"], "");
    assert!(whole.code == Some(2) && whole.err.contains("jobs of it do; name one: deploy"), "{whole:?}");
    assert_eq!(server.hearth(&["reject", "2", "deploy", "--comment", "not today"], "").code, Some(0));
    assert_eq!(server.ended(2)["conclusion"], "failure");
    assert_eq!(server.hearth(&["queue"], "").err, "hearth: nothing waits\n");

    assert_eq!(said(&["redeliver", "1"]), "delivery 3\n");
    server.job_is(3, "deploy", "waiting");
    assert_eq!(server.hearth(&["approve", "3", "deploy"], "").code, Some(0));
    assert_eq!(server.ended(3)["conclusion"], "success");
    let deliveries = said(&["deliveries", "-L", "2"]);
    let newest: Vec<&str> = deliveries.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(newest, ["3", "2"], "{deliveries}");
    let shown = said(&["deliveries", "1"]);
    assert!(
        shown.starts_with("push of octo/hello") && shown.contains("\"ref\": \"refs/heads/main\""),
        "{shown}"
    );
    assert_eq!(server.hearth(&["environment", "rm", "production", "-R", "octo/hello"], "").code, Some(0));
    assert_eq!(said(&["environment", "ls", "-R", "octo/hello"]), "");
}

#[test]
fn a_backup_taken_under_load_is_a_server_elsewhere() {
    let (repository, forge, mut server) = served();
    server.ended(1);
    let sha = repository.commit("word.txt", "ember");
    let backup = server.data().with_file_name("backup");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..20 {
                assert_eq!(server.deliver("push", &repository.push(&sha), &format!("load-{n}")).0, 200);
            }
        });
        let written = server.hearth(&["backup", &backup.display().to_string()], "");
        assert_eq!(written.code, Some(0), "{written:?}");
    });
    let refused = server.hearth(&["restore", &backup.display().to_string()], "");
    assert!(refused.code == Some(2) && refused.err.contains("has the data folder"), "{refused:?}");
    server.kill();

    // What is left of the first: a database that can't be read, which names the way back.
    // Its log would mend what is torn here.
    std::fs::remove_file(server.data().join("hearth.db-wal")).expect("removed");
    std::fs::write(server.data().join("hearth.db"), "no database at all, whatever it once was")
        .expect("written");
    let said = server.second();
    assert!(said.contains("is damaged") && said.contains("`hearth restore FROM --data "), "{said}");
    let restored = server.hearth(&["restore", &backup.display().to_string()], "");
    assert_eq!(restored.code, Some(0), "{restored:?}");
    server.start_again();
    assert_eq!(server.get("/api/v1/runs/1").1["conclusion"], "failure");
    let log = server.hearth(&["logs", "1", "build"], "").out;
    assert!(log.contains("second of build"), "{log}");
    drop(forge);
}
