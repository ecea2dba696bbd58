//! Running processes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use guest::client::{ExecEvent, ExecSpec, ExitStatus, GuestError, RefusalKind, TtySize};

use crate::agent::{self, Agent, Output, bash};

#[tokio::test]
async fn stdout_and_stderr_come_apart_and_the_exit_code_last() {
    let agent = Agent::start().await;
    let output = agent.run(bash("echo out; echo err >&2; exit 3")).await;
    assert_eq!(
        output,
        Output { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), status: ExitStatus::Code(3) }
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_arrive_unchanged() {
    let agent = Agent::start().await;
    let output = agent.run(bash(r"printf '\xff\xfe\x00\x80'")).await;
    assert_eq!(output.stdout, [0xff, 0xfe, 0x00, 0x80]);
}

#[tokio::test]
async fn a_flood_of_output_arrives_whole_and_in_order() {
    let agent = Agent::start().await;
    let output = agent.run(bash("seq 1 300000")).await;
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert!(output.stdout == expected.as_bytes(), "{} bytes", output.stdout.len());
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let agent = Agent::start().await;
    let spec = ExecSpec {
        argv: vec!["/usr/bin/env".into()],
        env: vec![("ONE".into(), "1 ü".into())],
        ..ExecSpec::default()
    };
    assert_eq!(agent.run(spec).await.text(), "ONE=1 ü\n");
}

#[tokio::test]
async fn the_working_directory_is_kept() {
    let agent = Agent::start().await;
    let spec = ExecSpec { cwd: "/usr/bin".into(), ..bash("pwd") };
    assert_eq!(agent.run(spec).await.text(), "/usr/bin\n");
}

#[tokio::test]
async fn standard_input_is_passed_on_and_then_ends() {
    let agent = Agent::start().await;
    let stdin = Bytes::from(vec![b'x'; 1_000_000]);
    let spec = ExecSpec { stdin, ..bash("wc -c") };
    assert_eq!(agent.run(spec).await.text().trim(), "1000000");
}

#[tokio::test]
async fn without_standard_input_a_reader_sees_its_end() {
    let agent = Agent::start().await;
    assert_eq!(agent.run(bash("cat; echo through")).await.text(), "through\n");
}

#[tokio::test]
async fn open_standard_input_takes_more_until_it_is_closed() {
    let agent = Agent::start().await;
    let spec = ExecSpec { stdin: "one\n".into(), stdin_open: true, ..bash("cat; echo end") };
    let mut exec = agent.guest.exec(spec).await.unwrap();
    exec.write_stdin("two\n".into()).await.unwrap();
    exec.write_stdin(Bytes::new()).await.unwrap();
    assert_eq!(agent::collect(&mut exec).await.text(), "one\ntwo\nend\n");
}

#[tokio::test]
async fn writing_to_a_process_that_does_not_read_does_not_hang_once_it_is_over() {
    let agent = Agent::start().await;
    let spec = ExecSpec { stdin_open: true, ..bash("exec 0<&-; echo closed; sleep 0.2") };
    let mut exec = agent.guest.exec(spec).await.unwrap();
    for _ in 0..50 {
        exec.write_stdin(Bytes::from(vec![0; 64 * 1024])).await.unwrap();
    }
    assert_eq!(agent::collect(&mut exec).await.status, ExitStatus::Code(0));
}

#[tokio::test]
async fn a_missing_program_is_refused_by_name() {
    let agent = Agent::start().await;
    let spec = ExecSpec { argv: vec!["no-such-program".into()], ..bash("") };
    let error = agent.guest.exec(spec).await.map(drop).unwrap_err();
    let GuestError::Refused { object, kind, .. } = &error else { panic!("{error}") };
    assert_eq!((object.as_str(), *kind), ("no-such-program", RefusalKind::NotFound));
    assert!(error.to_string().contains("not found in PATH"), "{error}");
}

#[tokio::test]
async fn a_file_that_may_not_be_executed_is_denied() {
    let agent = Agent::start().await;
    let spec = ExecSpec { argv: vec!["/etc/passwd".into()], ..bash("") };
    let error = agent.guest.exec(spec).await.map(drop).unwrap_err();
    assert!(
        matches!(&error, GuestError::Refused { kind: RefusalKind::Denied, object, .. } if object == "/etc/passwd")
    );
}

#[tokio::test]
async fn a_missing_working_directory_is_told_as_such() {
    let agent = Agent::start().await;
    let spec = ExecSpec { cwd: "/no/such/folder".into(), ..bash("true") };
    let error = agent.guest.exec(spec).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("working directory"), "{error}");
}

#[tokio::test]
async fn arguments_that_are_too_long_are_refused_and_not_lost() {
    let agent = Agent::start().await;
    let spec = ExecSpec { argv: vec!["/bin/echo".into(), "x".repeat(1024 * 1024)], ..bash("") };
    let error = agent.guest.exec(spec).await.map(drop).unwrap_err();
    assert!(matches!(&error, GuestError::Refused { kind: RefusalKind::Invalid, .. }), "{error}");
    let huge = ("HUGE".to_owned(), "x".repeat(100_000));
    let spec = ExecSpec { env: vec![huge; 100], ..bash("") };
    let error = agent.guest.exec(spec).await.map(drop).unwrap_err();
    assert!(matches!(&error, GuestError::Refused { kind: RefusalKind::Invalid, .. }), "{error}");
    assert_eq!(agent.run(bash("echo alive")).await.text(), "alive\n");
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let agent = Agent::start().await;
    let script = "trap 'echo caught; exit 5' INT; bash -c 'echo ready; exec sleep 60' & wait; wait";
    let mut exec = agent.guest.exec(bash(script)).await.unwrap();
    assert_eq!(exec.next().await.unwrap(), Some(ExecEvent::Stdout("ready\n".into())));
    exec.signal(2).await.unwrap();
    let output = agent::collect(&mut exec).await;
    assert_eq!((output.text(), output.status), ("caught\n", ExitStatus::Code(5)));
}

#[tokio::test]
async fn a_process_that_dies_of_a_signal_says_which() {
    let agent = Agent::start().await;
    assert_eq!(agent.run(bash("kill -SEGV $$")).await.status, ExitStatus::Signal(11));
    assert_eq!(agent.run(bash("kill -35 $$")).await.status, ExitStatus::Signal(35));
}

#[tokio::test]
async fn when_time_is_up_the_process_and_all_below_it_are_killed() {
    let agent = Agent::start().await;
    let script = "setsid sleep 1000 & echo $!; trap '' TERM INT; sleep 1000";
    let spec = ExecSpec { timeout: Some(Duration::from_millis(300)), ..bash(script) };
    let begin = Instant::now();
    let output = agent.run(spec).await;
    assert_eq!(output.status, ExitStatus::TimedOut);
    assert!(begin.elapsed() < Duration::from_secs(4));
    agent::gone(output.text().trim()).await;
}

#[tokio::test]
async fn a_terminal_is_one_and_has_the_size_that_was_asked_for() {
    let agent = Agent::start().await;
    let tty = Some(TtySize { rows: 40, columns: 132 });
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size </dev/tty; echo err >&2";
    let output = agent.run(ExecSpec { tty, ..bash(script) }).await;
    assert_eq!((output.text(), output.status), ("40 132\r\nerr\r\n", ExitStatus::Code(0)));
}

#[tokio::test]
async fn a_resized_terminal_tells_its_process() {
    let agent = Agent::start().await;
    let tty = Some(TtySize { rows: 40, columns: 132 });
    let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done";
    let spec = ExecSpec { tty, stdin_open: true, ..bash(script) };
    let mut exec = agent.guest.exec(spec).await.unwrap();
    assert_eq!(exec.next().await.unwrap(), Some(ExecEvent::Stdout("ready\r\n".into())));
    exec.resize(TtySize { rows: 50, columns: 80 }).await.unwrap();
    assert_eq!(agent::collect(&mut exec).await.text(), "50 80\r\n");
}

#[tokio::test]
async fn input_of_a_terminal_ends_as_if_someone_typed_control_d() {
    let agent = Agent::start().await;
    let tty = Some(TtySize { rows: 24, columns: 80 });
    let spec = ExecSpec { tty, stdin: "line\n".into(), ..bash("stty -echo; cat; echo end") };
    let output = agent.run(spec).await;
    assert!(output.text().ends_with("line\r\nend\r\n"), "{:?}", output.text());
}

#[tokio::test]
async fn without_a_terminal_there_is_none_to_be_opened() {
    let agent = Agent::start().await;
    let output = agent.run(bash("(: </dev/tty) 2>/dev/null || echo none")).await;
    assert_eq!(output.text(), "none\n");
}

#[tokio::test]
async fn another_user_is_become_with_all_of_its_groups() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let agent = Agent::start().await;
    let spec = ExecSpec { user: Some("nobody".into()), ..bash("id -un; id -G") };
    let wanted = std::process::Command::new("id").args(["-G", "nobody"]).output().unwrap();
    let wanted = format!("nobody\n{}", String::from_utf8(wanted.stdout).unwrap());
    assert_eq!(agent.run(spec).await.text(), wanted);
    let spec = ExecSpec { user: Some("12345".into()), ..bash("id -u; id -g") };
    assert_eq!(agent.run(spec).await.text(), "12345\n12345\n");
}

#[tokio::test]
async fn an_unknown_user_is_refused() {
    let agent = Agent::start().await;
    let spec = ExecSpec { user: Some("no-such-user".into()), ..bash("true") };
    let error = agent.guest.exec(spec).await.map(drop).unwrap_err();
    assert!(matches!(&error, GuestError::Refused { kind: RefusalKind::NotFound, .. }), "{error}");
}

#[tokio::test]
async fn a_background_process_that_holds_the_output_does_not_hold_the_step_and_lives_on() {
    let agent = Agent::start().await;
    let file = agent.folder.path().join("written");
    // Its writes go nowhere after the step; it must not die of them.
    let script = format!("(sleep 0.6; echo late; echo late; touch {}) & echo now", file.display());
    let begin = Instant::now();
    let output = agent.run(bash(&script)).await;
    assert_eq!((output.text(), output.status), ("now\n", ExitStatus::Code(0)));
    assert!(begin.elapsed() < Duration::from_millis(550), "{:?}", begin.elapsed());
    agent::until("the file was written", || file.exists()).await;
}

#[tokio::test]
async fn a_background_flood_does_not_hold_the_step_for_ever() {
    let agent = Agent::start().await;
    let begin = Instant::now();
    let output = agent.run(bash("yes & exit 4")).await;
    assert_eq!(output.status, ExitStatus::Code(4));
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn output_that_a_filter_writes_after_the_exit_is_not_lost() {
    let agent = Agent::start().await;
    let output = agent.run(bash("exec > >(sleep 0.1; cat); echo through the filter")).await;
    assert_eq!(output.text(), "through the filter\n");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_process_along() {
    let agent = Agent::start().await;
    let mut exec = agent.guest.exec(bash("echo $$; exec sleep 1000")).await.unwrap();
    let Some(ExecEvent::Stdout(pid)) = exec.next().await.unwrap() else { panic!("no pid") };
    drop(exec);
    agent::gone(std::str::from_utf8(&pid).unwrap().trim()).await;
}

#[tokio::test]
async fn a_flooding_process_waits_for_its_reader() {
    let agent = Agent::start().await;
    let count = agent.folder.path().join("count");
    let script =
        format!("for i in {{1..200}}; do head -c 1048576 /dev/zero; echo $i > {}; done", count.display());
    let mut exec = agent.guest.exec(bash(&script)).await.unwrap();
    agent::until("the flood has begun", || count.exists()).await;
    // Nothing tells that a writer waits; what it has written by then must be far from all of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let written: u32 = std::fs::read_to_string(&count).unwrap().trim().parse().unwrap();
    assert!(written < 20, "{written} MiB were taken with nobody reading");
    let output = agent::collect(&mut exec).await;
    assert_eq!((output.stdout.len(), output.status), (200 << 20, ExitStatus::Code(0)));
}

#[tokio::test]
async fn many_processes_run_at_once_and_none_gets_the_status_of_another() {
    let agent = Agent::start().await;
    let runs = (0..100).map(|number| {
        let agent = &agent;
        async move {
            let script = format!("(exec sleep 0.0{}) & disown; echo {number}; exit {number}", number % 10);
            let output = agent.run(bash(&script)).await;
            assert_eq!(output.text(), format!("{number}\n"));
            assert_eq!(output.status, ExitStatus::Code(number));
        }
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn shutdown_ends_daemons_that_have_left_their_parents() {
    let agent = Agent::start().await;
    let daemon = "setsid bash -c 'setsid sleep 1000 & echo $!' & wait";
    let pid = agent.run(bash(daemon)).await.text().trim().to_owned();
    agent.guest.shutdown(Duration::from_millis(200)).await.unwrap();
    agent::gone(&pid).await;
}

#[tokio::test]
async fn shutdown_gives_processes_their_grace() {
    let agent = Agent::start().await;
    let file = agent.folder.path().join("cleaned");
    let script =
        format!("trap 'touch {}; exit' TERM; echo ready; while :; do sleep 0.01; done", file.display());
    let mut exec = agent.guest.exec(bash(&script)).await.unwrap();
    exec.next().await.unwrap();
    agent.guest.shutdown(Duration::from_secs(5)).await.unwrap();
    assert!(file.exists());
}

#[tokio::test]
async fn a_stream_that_is_cut_loses_the_agent_and_ends_its_processes() {
    let mut agent = Agent::start().await;
    let mut exec = agent.guest.exec(bash("echo $$; exec sleep 1000")).await.unwrap();
    let Some(ExecEvent::Stdout(pid)) = exec.next().await.unwrap() else { panic!("no pid") };
    agent.cut();
    let error = exec.next().await.unwrap_err();
    assert!(matches!(error, GuestError::Lost { .. }), "{error}");
    assert_eq!(exec.next().await.unwrap(), None);
    assert!(matches!(agent.guest.info().await, Err(GuestError::Lost { .. })));
    agent::gone(std::str::from_utf8(&pid).unwrap().trim()).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_is_lost_and_not_waited_for() {
    let mut agent = Agent::start().await;
    let mut exec = agent.guest.exec(bash("exec sleep 3")).await.unwrap();
    agent.kill();
    assert!(matches!(exec.next().await, Err(GuestError::Lost { .. })));
}
