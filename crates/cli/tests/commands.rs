//! The commands that run nothing, as a user meets them: exit code, standard output, standard error.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};

fn hearth(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(args)
        .current_dir(folder)
        .env("HEARTH_DATA", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env_remove("HEARTH_TOKEN")
        .env_remove("HEARTH_API")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parsed(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

/// A folder with this workflow.
fn repository(workflow: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let workflows = folder.path().join(".github/workflows");
    std::fs::create_dir_all(&workflows).expect("folders");
    std::fs::write(workflows.join("ci.yml"), workflow).expect("a file");
    folder
}

const GOOD: &str = "name: Grüße\non: push\njobs:\n  first:\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n  \
                    second:\n    needs: first\n    if: false\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n";

const BAD: &str = "on: psh\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n";

#[test]
fn expr_gives_kind_and_value_or_the_error_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("c.json"), r#"{"github": {"ref": "Ä", "n": [1, 2]}}"#).expect("a file");
    let run = |source| hearth(folder.path(), &["expr", "--contexts", "c.json", "--format", "json", source]);
    let good = run("github.n");
    assert_eq!((good.status.code(), parsed(&good)), (Some(0), json!({"kind": "Array", "value": [1, 2]})));
    let bad = run("githb.ref");
    assert_eq!(bad.status.code(), Some(1));
    let error = parsed(&bad)["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.starts_with("Unrecognized named-value: 'githb'"), "{error}");
}

#[test]
fn an_expression_may_begin_with_a_minus() {
    let folder = tempfile::tempdir().expect("a folder");
    for (source, value) in [("-1 < 0", json!(true)), ("-.5", json!(-0.5)), ("-Infinity", json!("-Infinity"))]
    {
        let output = hearth(folder.path(), &["expr", "--format", "json", source]);
        assert_eq!(parsed(&output)["value"], value, "{source}");
    }
}

#[test]
fn a_file_that_is_not_utf_8_is_a_problem_with_a_place_and_hides_no_other() {
    let folder = repository(BAD);
    let broken = folder.path().join(".github/workflows/broken.yml");
    std::fs::write(broken, b"on: push\nname: \xc3\xa4 \xff\n").expect("a file");
    let output = hearth(folder.path(), &["lint", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let problems = parsed(&output);
    let place = |code: &str| {
        let problem = problems.as_array().into_iter().flatten().find(|problem| problem["code"] == code);
        problem.map(|problem| (problem["path"].clone(), problem["line"].clone(), problem["column"].clone()))
    };
    assert_eq!(place("file-encoding"), Some((json!(".github/workflows/broken.yml"), json!(2), json!(9))));
    assert!(place("unexpected-value").is_some(), "{problems}");
    assert_eq!(hearth(folder.path(), &["run"]).status.code(), Some(3));
}

#[test]
fn every_called_file_that_is_missing_or_wrong_is_named() {
    let calls = "on: push\njobs:\n  a: {uses: ./.github/workflows/no.yml}\n  b: {uses: ./.github/workflows/bad.yml}\n  \
                 c: {uses: ./.github/workflows/none.yml}\n  d: {uses: ./.github/workflows/good.yml, with: {x: 1}}\n";
    let folder = repository(calls);
    let workflows = folder.path().join(".github/workflows");
    std::fs::write(workflows.join("bad.yml"), BAD.replace("psh", "workflow_call, psh")).expect("a file");
    std::fs::write(workflows.join("good.yml"), BAD.replace("psh", "workflow_call")).expect("a file");
    let run = text(&hearth(folder.path(), &["run", "-W", "ci.yml"]).stderr);
    for wanted in
        ["no.yml\": workflow was not found", "none.yml\": workflow was not found", "x is not defined"]
    {
        assert!(run.contains(wanted), "{wanted}: {run}");
    }
    assert!(run.contains("bad.yml:1:"), "{run}");
    let lint = hearth(folder.path(), &["lint", "--format", "json", ".github/workflows"]);
    let problems = parsed(&lint);
    let lines = |code: &str| {
        let of_code = problems.as_array().into_iter().flatten().filter(|problem| problem["code"] == code);
        of_code.map(|problem| problem["line"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(lines("call-not-found"), [json!(3), json!(5)]);
    assert_eq!(lines("call-input"), [json!(6)]);
}

#[test]
fn calls_are_judged_although_something_else_in_the_file_is_wrong() {
    let calls = "on: psh\nname: 'it's'\njobs:\n  a: {uses: ./.github/workflows/no.yml}\n  b: {uses: ./.github/workflows/good.yml, with: {x: 1}}\n  \
                 c:\n    uses: ./.github/workflows/good.yml\n    with: {y: 1}\n    name: \"c\n";
    let folder = repository(calls);
    let good = folder.path().join(".github/workflows/good.yml");
    std::fs::write(good, BAD.replace("psh", "workflow_call")).expect("a file");
    let problems = parsed(&hearth(folder.path(), &["lint", "--format", "json"]));
    let found: Vec<_> =
        problems.as_array().into_iter().flatten().map(|one| (&one["line"], &one["code"])).collect();
    let expected = [
        (1, "unexpected-value"),
        (2, "yaml-quote"),
        (4, "call-not-found"),
        (5, "call-input"),
        // Of a job that can't be read as a whole no call is judged.
        (9, "yaml-quote"),
    ]
    .map(|(line, code)| (json!(line), json!(code)));
    assert!(found.into_iter().eq(expected.iter().map(|(line, code)| (line, code))), "{problems}");
}

#[test]
fn lint_lists_problems_with_their_places_and_fails() {
    let folder = repository(BAD);
    let output = hearth(folder.path(), &["lint", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let first = &parsed(&output)[0];
    assert_eq!(first["path"], ".github/workflows/ci.yml");
    assert_eq!((&first["line"], &first["column"]), (&json!(1), &json!(5)));
    assert_eq!((&first["severity"], &first["code"]), (&json!("error"), &json!("unexpected-value")));
    let good = hearth(repository(GOOD).path(), &["lint", "--format", "json"]);
    assert_eq!((good.status.code(), parsed(&good)), (Some(0), json!([])));
}

#[test]
fn lint_shows_every_fault_of_a_file_in_every_format_in_the_order_of_places() {
    let broken = "name: 'it's'\non: [psh\njobs:\n  a:\n    runs-on: x\n    steps: [run: \"\\d\"]\n  b: {runs-on: x, needs: c, steps: [run: a]}\n";
    let folder = repository(broken);
    let lint = |format| hearth(folder.path(), &["lint", "--format", format]);
    let places = |list: &Json, line: &str| {
        list.as_array().into_iter().flatten().map(|one| one.pointer(line).cloned()).collect::<Vec<_>>()
    };
    let expected = [1, 2, 6, 7].map(|line| Some(json!(line)));
    assert_eq!(places(&parsed(&lint("json")), "/line"), expected);
    let sarif = parsed(&lint("sarif"));
    let region = "/locations/0/physicalLocation/region/startLine";
    assert_eq!(places(&sarif["runs"][0]["results"], region), expected);
    let github = text(&lint("github").stdout);
    let lines: Vec<_> = github.lines().filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(lines, ["line=1", "line=2", "line=6", "line=7"], "{github}");
    let shown = text(&lint("text").stdout);
    let places: Vec<_> =
        [":1:11", ":2:5", ":6:", ":7:"].map(|place| shown.find(&format!("ci.yml{place}"))).into();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{shown}");
}

#[test]
fn plan_says_what_would_run_and_why_not() {
    let output = hearth(repository(GOOD).path(), &["plan"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(shown.contains("Grüße") && shown.contains("first: 1 step on ubuntu-latest"), "{shown}");
    assert!(shown.contains("second: skipped"), "{shown}");
}

#[test]
fn inputs_start_the_workflows_that_take_them_and_no_others() {
    let folder = repository(GOOD);
    let add = |name: &str, on: &str| {
        let jobs = format!("{{{name}: {{runs-on: ubuntu-latest, steps: [{{run: echo}}]}}}}");
        let file = folder.path().join(format!(".github/workflows/{name}.yml"));
        std::fs::write(file, format!("on: {on}\njobs: {jobs}\n")).expect("a file");
    };
    add("deploy", "{workflow_dispatch: {inputs: {to: {}}}}");
    add("nightly", "{schedule: [{cron: '5 4 * * *'}]}");
    let output = hearth(folder.path(), &["plan", "--input", "to=test"]);
    let plan = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(plan.contains("deploy: 1 step"), "{plan}");
    assert!(!plan.contains("first") && !plan.contains("nightly"), "{plan}");
}

#[test]
fn a_job_runs_in_the_workflow_that_has_it_and_is_unknown_only_where_none_does() {
    let folder = repository(GOOD);
    let other = "on: push\njobs:\n  third:\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n";
    std::fs::write(folder.path().join(".github/workflows/other.yml"), other).expect("a file");
    let plan = |jobs: &[&str]| {
        let output = hearth(folder.path(), &[&["plan"], jobs].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = plan(&["third"]);
    assert!(code == Some(0) && said.contains("third: 1 step") && !said.contains("first"), "{said}");
    let (code, said) = plan(&["third", "first"]);
    assert!(code == Some(0) && said.contains("third: 1 step") && said.contains("first: 1 step"), "{said}");
    let (code, said) = plan(&["thrid", "first"]);
    assert!(code == Some(3) && said.contains("no job 'thrid'") && said.contains("mean 'third'"), "{said}");
}

#[test]
fn a_key_that_no_matrix_has_is_refused_and_not_passed_over() {
    let matrix = "    strategy: {matrix: {os: [a, b]}}\n    runs-on";
    let folder = repository(&GOOD.replacen("    runs-on", matrix, 1));
    let plan = |value: &str| {
        let output = hearth(folder.path(), &["plan", "--matrix", value]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = plan("so=b");
    assert!(code == Some(2) && said.contains("--matrix so") && said.contains("there are: os"), "{said}");
    let (code, said) = plan("os=b");
    assert!(code == Some(0) && said.contains("first (b)") && !said.contains("first (a)"), "{said}");
}

#[test]
fn what_a_file_calls_its_jobs_does_not_move_the_cursor() {
    let job = "    runs-on: \"u\\e[1A\"\n    steps: [{run: echo}]\n";
    let folder =
        repository(&format!("name: \"N\\e[2J\"\non: push\njobs:\n  a:\n    name: \"A\\e[2J\"\n{job}"));
    let output = hearth(folder.path(), &["plan"]);
    assert_eq!(text(&output.stdout), "N  (.github/workflows/ci.yml, by push)\n  A: 1 step on u\n");
}

#[test]
fn plan_tells_each_job_as_a_line_of_json() {
    let output = hearth(repository(GOOD).path(), &["plan", "--format", "json"]);
    let shown = text(&output.stdout);
    let jobs: Vec<Json> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&jobs[0]["name"], &jobs[0]["outlook"]), (&json!("first"), &json!("runs")));
    assert_eq!(jobs[0]["runs_on"]["labels"], json!(["ubuntu-latest"]));
    assert_eq!((&jobs[1]["needs"], &jobs[1]["outlook"]), (&json!(["first"]), &json!("skipped")));
}

#[test]
fn a_job_that_does_not_run_has_its_key_in_events_too() {
    let folder = repository(&GOOD.replace("    if: false", "    name: Second one\n    if: false"));
    let output = hearth(folder.path(), &["run", "--machine", "host", "--format", "json"]);
    let shown = text(&output.stdout);
    let mut events = shown.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
    let started = events.next().expect("the run starts");
    assert!(started["run"].is_u64() && started["path"] == ".github/workflows/ci.yml", "{started}");
    let decided = events.find(|event| event["type"] == "decided").expect("a job that is skipped");
    assert_eq!((&decided["job"]["key"], &decided["job"]["name"]), (&json!("second"), &json!("Second one")));
}

#[test]
fn an_invalid_workflow_a_wrong_flag_and_an_unknown_job_have_exit_codes_of_their_own() {
    let bad = hearth(repository(BAD).path(), &["run"]);
    assert_eq!(bad.status.code(), Some(3));
    assert!(text(&bad.stderr).contains("Unexpected value 'psh'"), "{}", text(&bad.stderr));
    let folder = repository(GOOD);
    assert_eq!(hearth(folder.path(), &["run", "--nonsense"]).status.code(), Some(2));
    let unknown = hearth(folder.path(), &["run", "frist"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(text(&unknown.stderr).contains("first"), "{}", text(&unknown.stderr));
}

#[test]
fn a_memory_that_no_machine_can_have_is_refused_before_one_starts() {
    let folder = repository(GOOD);
    for memory in ["0", "15", "1125899906842624", "18446744073709551615"] {
        let output = hearth(folder.path(), &["run", "--memory", memory]);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains("16 to 16777216 MiB"), "{memory}: {error}");
    }
}

#[test]
fn an_event_that_starts_nothing_says_why() {
    let output = hearth(repository(GOOD).path(), &["run", "--event", "release"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains(".github/workflows/ci.yml") && error.contains("release"), "{error}");
}

#[test]
fn completions_name_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = hearth(folder.path(), &["completions", "bash"]);
    assert!(output.status.success() && text(&output.stdout).contains("doctor"));
}

#[test]
fn a_driver_that_cannot_snapshot_keeps_no_machine_and_says_what_does() {
    let folder = repository(GOOD);
    for driver in ["sandbox", "host"] {
        let refused = hearth(folder.path(), &["run", "--debug-on-failure", "--machine", driver]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("the driver {driver} can't be snapshotted")), "{said}");
        assert!(said.contains("--machine qemu"), "{said}");
        assert!(refused.stdout.is_empty(), "nothing is run");
    }
}

#[test]
fn a_run_without_a_kept_machine_can_be_neither_entered_nor_resumed() {
    let folder = repository(GOOD);
    // What a command was to end with in the machine must not be taken for its own.
    for (words, code) in [
        (&["debug", "5"][..], 125),
        (&["debug", "5", "--", "true"], 125),
        (&["debug", "--rm", "5"], 2),
        (&["run", "--resume", "5"], 2),
    ] {
        let refused = hearth(folder.path(), words);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(
            said.contains("no machine of run 5 is kept") && said.contains("--debug-on-failure"),
            "{said}"
        );
    }
    let nothing = hearth(folder.path(), &["debug", "--list"]);
    assert_eq!((nothing.status.code(), text(&nothing.stdout)), (Some(0), String::new()));
}

/// A kept machine whose record is of another version, and whose manifest says this; its folder was changed then.
fn kept_machine(folder: &Path, name: &str, manifest: &str, changed: SystemTime) -> PathBuf {
    let place = folder.join("data/snapshots").join(name);
    std::fs::create_dir_all(&place).expect("folders");
    std::fs::write(place.join("ram"), "secret").expect("a file");
    std::fs::write(place.join("manifest.json"), manifest).expect("a file");
    let times = std::fs::File::open(&place).and_then(|opened| opened.set_modified(changed));
    times.expect("the folder is ours");
    place
}

/// The manifest of a snapshot that was made then.
fn manifest(name: &str, made: SystemTime) -> String {
    let made = made.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    let layout = json!({"home": "/h", "work": "/w", "temp": "/t", "tool_cache": "/o"});
    let manifest = json!({
        "id": name, "driver": "qemu", "image": "i", "vcpus": 1, "memory_mib": 1, "disk_mib": 1, "layout": layout,
        "network": "none", "made_unix_ms": u64::try_from(made).expect("soon enough"), "version": "QEMU", "files": {},
    });
    manifest.to_string()
}

/// The record of a kept machine as an earlier version wrote it.
fn record(folder: &Path, run: u64, name: &str) -> PathBuf {
    let jobs = folder.join(format!("data/runs/{run}/debug/jobs"));
    std::fs::create_dir_all(&jobs).expect("folders");
    std::fs::write(jobs.join(name), r#"{"format": 1}"#).expect("a file");
    jobs.join(name)
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn kept_machines_go_after_a_week_also_where_nothing_of_them_can_be_read() {
    let folder = repository(GOOD);
    let now = SystemTime::now();
    let old = now - 30 * DAY;
    let recorded = record(folder.path(), 7, "1-1.json");
    let gone = [
        kept_machine(folder.path(), "debug-7-1-1", &manifest("debug-7-1-1", old), now),
        kept_machine(folder.path(), "debug-8-1-1", r#"{"from": "tomorrow"}"#, old),
        kept_machine(folder.path(), "debug-whatever", "", old),
        kept_machine(folder.path(), "template-1", "", old),
    ];
    record(folder.path(), 9, "1-1.json");
    let stays = [
        kept_machine(folder.path(), "debug-9-1-1", &manifest("debug-9-1-1", now - 6 * DAY), old),
        kept_machine(folder.path(), "template-2", "", now - 6 * DAY),
        kept_machine(folder.path(), "template-3", &manifest("template-3", old), old),
    ];
    let listed = hearth(folder.path(), &["debug", "--list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
    assert!(!recorded.exists(), "its record goes along");
    for place in gone {
        assert!(!place.exists(), "{}", place.display());
    }
    for place in stays {
        assert!(place.exists(), "{}", place.display());
    }
}

#[test]
fn a_kept_machine_that_can_t_be_read_is_listed_as_that_and_can_be_removed() {
    let folder = repository(GOOD);
    let now = SystemTime::now();
    let recorded = record(folder.path(), 7, "1-1.json");
    let place = kept_machine(folder.path(), "debug-7-1-1", &manifest("debug-7-1-1", now), now);
    let other = kept_machine(folder.path(), "debug-77-1-1", "", now);
    let listed = hearth(folder.path(), &["debug", "--list"]);
    let said = text(&listed.stderr);
    assert_eq!(listed.status.code(), Some(0), "{said}");
    assert!(said.contains("1-1.json") && said.contains("`hearth debug --rm 7`"), "{said}");
    let refused = hearth(folder.path(), &["run", "--resume", "7"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("1-1.json") && said.contains("`hearth debug --rm 7`"), "{said}");
    let removed = hearth(folder.path(), &["debug", "--rm", "7"]);
    assert_eq!(removed.status.code(), Some(0), "{}", text(&removed.stderr));
    assert_eq!(text(&removed.stdout), "7 debug-7-1-1\n");
    assert!(!place.exists() && !recorded.exists() && other.exists());
}

#[test]
fn what_a_command_in_a_machine_ends_with_is_not_what_hearth_fails_with() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [
        &["vm", "exec", "x", "--", "true"][..],
        &["vm", "shell", "x"],
        &["vm", "--token", "t", "--api", "nonsense", "exec", "x", "--", "true"],
        &["vm", "--token", "t", "--api", "nonsense", "shell", "x"],
        &["debug", "7", "--config", "none.toml", "--", "true"],
    ] {
        let failed = hearth(folder.path(), words);
        assert_eq!(failed.status.code(), Some(125), "{words:?}: {}", text(&failed.stderr));
        assert!(text(&failed.stderr).starts_with("hearth: "));
    }
    let listed = hearth(folder.path(), &["vm", "ls"]);
    assert_eq!(listed.status.code(), Some(2), "no command is run there");
}

#[test]
fn a_list_of_hosts_is_refused_by_a_driver_that_would_not_hold_to_it() {
    let folder = repository(GOOD);
    let config = folder.path().join("config/hearth");
    std::fs::create_dir_all(&config).expect("a folder");
    for (rules, code) in [
        ("allow-hosts-of: [{workflow: Grüße, hosts: [good.example]}]", 4),
        ("allow-hosts-of: [{workflow: Other, hosts: [good.example]}]", 0),
    ] {
        std::fs::write(config.join("hearth.yaml"), rules).expect("a file");
        let output = hearth(folder.path(), &["run", "--machine", "host", "--format", "plain"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(code == 4, said.contains("a list of what may be reached needs a network"), "{said}");
    }
}

#[test]
fn the_word_vm_stands_for_qemu_where_firecracker_cant_run_and_says_why() {
    let folder = repository(GOOD);
    std::fs::create_dir_all(folder.path().join("config/hearth")).expect("a folder");
    let config = "firecracker: {binary: /nowhere/firecracker}\n";
    std::fs::write(folder.path().join("config/hearth/hearth.yaml"), config).expect("a file");
    let run = hearth(folder.path(), &["run", "--machine", "vm", "--format", "plain"]);
    let said = text(&run.stdout) + &text(&run.stderr);
    assert_eq!(run.status.code(), Some(4), "there is no image: {said}");
    assert!(
        said.contains("machines run in QEMU; Firecracker can't be used here: /nowhere/firecracker"),
        "{said}"
    );
    let named = hearth(folder.path(), &["run", "--machine", "qemu", "--format", "plain"]);
    assert!(!text(&named.stdout).contains("Firecracker"), "who names a driver needs no word on others");
}

#[test]
fn a_server_may_have_the_data_folder_of_other_commands_and_none_that_others_need() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::write(folder.path().join("server.yaml"), "serve: {workflows: 1}\n").expect("a file");
    assert_eq!(hearth(folder.path(), &["image", "ls"]).status.code(), Some(0));
    assert!(data.join("images").is_dir(), "an earlier command has used it");
    let check = || hearth(folder.path(), &["config", "check", "server.yaml"]);
    let fine = check();
    assert_eq!(fine.status.code(), Some(0), "{}", text(&fine.stderr));
    std::fs::write(data.join("letter.txt"), "").expect("a file");
    let refused = check();
    assert_ne!(refused.status.code(), Some(0), "{}", text(&refused.stderr));
    let said = text(&refused.stderr);
    assert!(
        said.contains("more in it than Hearth's own (letter.txt)") && said.contains("chmod 700"),
        "{said}"
    );
    assert_eq!(data.metadata().expect("it is there").permissions().mode() & 0o777, 0o755, "it only looks");
}
