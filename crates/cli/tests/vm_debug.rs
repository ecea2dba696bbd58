//! Kept machines of failed jobs, where `HEARTH_VM_DATA` names a data folder with an image: in QEMU, or in what
//! `HEARTH_TEST_MACHINE` names (`cargo xtask test-firecracker` names `vm`, where that is Firecracker).

mod vm_place;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use nix::pty::openpty;
use vm_place::Place;

const WORKFLOW: &str = r#"
on: push
jobs:
  first:
    runs-on: ubuntu-latest
    outputs: { word: "${{ steps.say.outputs.word }}" }
    steps:
    - { id: say, run: echo word=hello >> $GITHUB_OUTPUT }
  build:
    needs: first
    runs-on: ubuntu-latest
    outputs: { made: "${{ steps.make.outputs.made }}-${{ needs.first.outputs.word }}" }
    steps:
    - uses: actions/checkout@v4
    - id: make
      run: |
        echo made=thing >> $GITHUB_OUTPUT
        echo COLOUR=red >> $GITHUB_ENV
        login=masked-$((6*7))-value
        echo "::add-mask::$login"
        echo LOGIN=$login >> $GITHUB_ENV
        echo kept > file
        setsid sh -c 'while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &
        echo $! > pid
    - name: Test
      env: { TOKEN: "${{ secrets.KEY }}" }
      uses: ./action
    - run: |
        kill -0 $(cat pid) && echo "daemon-lives $COLOUR attempt-$GITHUB_RUN_ATTEMPT $(cat file)"
        echo "login-is-$LOGIN trail-$(cat trail)"
  after:
    needs: [first, build]
    runs-on: ubuntu-latest
    steps:
    - run: echo "after-${{ needs.build.outputs.made }} $GITHUB_RUN_ATTEMPT $FLAVOUR"
"#;

const ACTION: &str = r#"
name: test
runs:
  using: composite
  steps:
  - { shell: bash, run: printf a >> trail }
  - { name: Look, shell: bash, run: "echo again >> tries; test $(wc -l < tries) -ge 2" }
  - { shell: bash, run: printf b >> trail, if: always() }
"#;

/// What `--machine` gets, and the driver that it has to stand for.
fn machine() -> (String, &'static str) {
    match std::env::var("HEARTH_TEST_MACHINE") {
        Ok(machine) => (machine, "firecracker"),
        Err(_) => ("qemu".to_owned(), "qemu"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_failed_job_is_looked_at_and_goes_on_in_the_machine_that_it_had() {
    let Some(place) = Place::new(WORKFLOW) else { return };
    fs::create_dir(place.path("repository/action")).unwrap();
    fs::write(place.path("repository/action/action.yml"), ACTION).unwrap();
    let (name, driver) = machine();
    let machine = ["--machine", &name, "--network", "none", "--memory", "512", "--format", "plain"];
    let wanted =
        [&["run", "--debug-on-failure", "--secret", "KEY=hunter2", "--env", "FLAVOUR=sweet"][..], &machine]
            .concat();
    let (code, said) = place.hearth(&wanted);
    assert_eq!(code, Some(1), "{said}");
    let run: String =
        said.split("hearth debug ").nth(1).expect(&said).chars().take_while(char::is_ascii_digit).collect();
    assert!(!said.contains("it was booted"), "{said}");
    assert!(!said.contains("daemon-lives"), "no step runs after the failed one: {said}");

    assert!(said.contains("as step 3 ('Test'), in it step 2 ('Look') left it"), "{said}");

    let snapshot = place.path(&format!("data/snapshots/debug-{run}-2-1"));
    let manifest = fs::read(snapshot.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["driver"], driver, "{said}");
    for record in ["run.json", "results.jsonl", "jobs/1-2.json"] {
        let record = place.path(&format!("data/runs/{run}/debug/{record}"));
        let text = fs::read_to_string(&record).unwrap();
        assert!(
            !text.contains("hunter2") && !text.contains("masked-42"),
            "no secret is written down: {text}"
        );
        assert_eq!(mode(&record), 0o600);
    }
    assert_eq!((mode(&snapshot), mode(&snapshot.join("vault.json"))), (0o700, 0o600));
    assert!(place.hearth(&["debug", "--list"]).1.contains(&run));

    let look = "cat file; echo $COLOUR; echo \"[$TOKEN]\"; echo $LOGIN; cat trail; echo; kill -0 $(cat pid) && echo alive; echo changed > file";
    for _ in 0..2 {
        let looked = place.hearth(&["debug", &run, "--", "sh", "-c", look]);
        assert_eq!(
            looked,
            (Some(0), "kept\nred\n[]\nmasked-42-value\na\nalive\n".to_owned()),
            "each shell has a clone of its own"
        );
    }
    let (code, shown) =
        in_terminal(&place, &["debug", &run, "--secret", "KEY=hunter2"], "echo $((6*7))-$TOKEN; exit 3\n");
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("42-hunter2") && shown.contains("run it again: "), "{shown}");

    let (code, said) = place.hearth(&["run", "--resume", &run]);
    assert!(code == Some(2) && said.contains("--secret KEY"), "{said}");
    let (code, said) =
        place.hearth(&["run", "--resume", &run, "--secret", "KEY=hunter2", "--format", "plain"]);
    assert_eq!(code, Some(0), "{said}");
    for line in ["daemon-lives red attempt-2 kept", "login-is-*** trail-ab", "after-thing-hello 2 sweet"] {
        assert!(said.contains(line), "{line} is missing: {said}");
    }
    assert!(!said.contains("it was booted"), "{said}");
    assert!(said.contains("it ended so in an earlier attempt"), "the first job is not run again: {said}");
    let (code, said) = place.hearth(&["run", "--resume", &run, "--secret", "KEY=hunter2"]);
    assert!(code == Some(2) && said.contains("has succeeded since"), "{said}");

    assert_eq!(place.hearth(&["debug", "--rm", &run]), (Some(0), format!("{run} build\n")));
    let left = |folder: &str| {
        let entries = fs::read_dir(place.path(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let snapshots = left("data/snapshots");
    assert!(snapshots.len() == 1 && snapshots[0].starts_with("template-"), "{snapshots:?}");
    assert!(left("data/vms").is_empty());
    assert!(left(&format!("data/runs/{run}")).is_empty());
}

/// Runs a command on a terminal, with these keys.
fn in_terminal(place: &Place, words: &[&str], keys: &str) -> (Option<i32>, String) {
    let pty = openpty(None, None).unwrap();
    let side = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = place.command(words).stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    let mut ours = File::from(pty.master);
    std::io::Write::write_all(&mut ours, keys.as_bytes()).unwrap();
    drop(pty.slave);
    let (mut shown, mut chunk) = (Vec::new(), [0; 4096]);
    // The last program that has the terminal's other side ends this with an error.
    while let Ok(read @ 1..) = ours.read(&mut chunk) {
        shown.extend_from_slice(&chunk[..read]);
    }
    (child.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned())
}
