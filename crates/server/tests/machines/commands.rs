//! Code and commands.

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::fixture::{Api, Server, lines, until};

async fn execute(api: &Api, body: Value) -> Value {
    api.post("/api/llm/execute", body).await.ok(200).json()
}

#[tokio::test]
async fn code_runs_in_every_language_and_its_outputs_come_apart() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    for (language, code) in [
        ("bash", "echo out; [[ 1 == 1 ]] && echo err >&2; exit 3"),
        ("sh", "echo out; echo err >&2; exit 3"),
        ("python", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"),
        ("javascript", "console.log('out'); console.error('err'); process.exit(3)"),
        (
            "node",
            "console.log('out'); console.error('err'); process.exit(require('path').sep == '/' ? 3 : 4)",
        ),
    ] {
        let body = json!({"agent_id": "a", "language": language, "code": code, "vm_id": id});
        let executed = execute(&ann, body).await;
        assert_eq!(
            (&executed["exit_code"], &executed["stdout"], &executed["stderr"], &executed["vm_id"]),
            (&json!(3), &json!("out\n"), &json!("err\n"), &json!(id)),
            "{language}: {executed}"
        );
    }
    let temp = server.folder.path().join(&id).join("temp");
    assert_eq!(std::fs::read_dir(temp).unwrap().count(), 0, "nothing of the code is left");
}

#[tokio::test]
async fn code_without_a_machine_gets_one_of_its_own_that_is_gone_afterwards() {
    let server = Server::start().await;
    let ann = server.ann();
    let executed = execute(&ann, json!({"language": "sh", "code": "echo $((6 * 7))"})).await;
    assert_eq!((&executed["stdout"], &executed["exit_code"]), (&json!("42\n"), &json!(0)));
    assert!(executed["vm_id"].as_str().unwrap().starts_with("vm-"));
    until("it is gone", async || server.driver.alive() == 0).await;
    until("it is forgotten", async || ann.get("/api/vms").await.json() == json!({"vms": []})).await;
}

#[tokio::test]
async fn an_unknown_language_is_refused_with_those_that_are_known() {
    let server = Server::start().await;
    let refused =
        server.ann().post("/api/llm/execute", json!({"language": "ruby", "code": "p 1"})).await.refused(400);
    for word in ["ruby", "bash", "sh", "python", "javascript", "node"] {
        assert!(refused.contains(word), "{refused}");
    }
    assert_eq!(server.driver.started(), 0);
}

#[tokio::test]
async fn code_whose_time_is_up_is_killed_and_no_success() {
    let server = Server::start().await;
    let body = json!({"language": "sh", "code": "echo begun; sleep 600", "timeout_seconds": 1});
    let executed = execute(&server.ann(), body).await;
    assert_eq!((&executed["exit_code"], &executed["stdout"]), (&json!(124), &json!("begun\n")));
    assert!(executed["error"].as_str().unwrap().contains("killed after 1 s"), "{executed}");
    assert!(executed["duration_ms"].as_u64().unwrap() < 60_000);
}

#[tokio::test]
async fn a_timeout_that_is_none_or_too_long_is_refused() {
    let server = Server::start().await;
    for seconds in [0, 21_601, u64::MAX] {
        let body = json!({"language": "sh", "code": "", "timeout_seconds": seconds});
        assert!(server.ann().post("/api/llm/execute", body).await.refused(400).contains("21600"));
    }
}

#[tokio::test]
async fn code_runs_where_it_is_told_to() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    ann.output(&id, "mkdir -p sub").await;
    let pwd = |dir: Value| json!({"language": "sh", "code": "pwd", "vm_id": id, "working_dir": dir});
    let work = server.folder.path().join(&id).join("work").display().to_string();
    assert_eq!(execute(&ann, pwd(Value::Null)).await["stdout"], format!("{work}\n"));
    assert_eq!(execute(&ann, pwd(json!("sub"))).await["stdout"], format!("{work}/sub\n"));
    assert_eq!(execute(&ann, pwd(json!("/"))).await["stdout"], "/\n");
    assert!(ann.post("/api/llm/execute", pwd(json!("nowhere"))).await.refused(400).contains("nowhere"));
    assert!(ann.post("/api/llm/execute", pwd(json!("../.."))).await.refused(400).contains("climbs"));
}

#[tokio::test]
async fn output_beyond_the_bound_is_cut_and_the_answer_says_so() {
    let server = Server::start().await;
    let code = "head -c 5000000 /dev/zero | tr '\\0' x; echo end >&2";
    let executed = execute(&server.ann(), json!({"language": "sh", "code": code})).await;
    assert_eq!(executed["stdout"].as_str().unwrap().len(), 4 * 1024 * 1024);
    assert_eq!((&executed["truncated"], &executed["stderr"]), (&json!(true), &json!("end\n")));
}

#[tokio::test]
async fn a_command_has_its_arguments_environment_and_input_as_they_were_sent() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let script = r#"printf '%s|' "$@" "$X" "$HOME"; cat"#;
    let body = json!({
        "argv": ["sh", "-c", script, "sh", "a b", "$(c)", "ä"],
        "env": {"X": "y z"},
        "stdin": "input\n",
    });
    let lines = lines(&ann.post(&format!("/api/vms/{id}/exec"), body).await.ok(200).bytes);
    assert_eq!(lines.first().unwrap()["event"], "started");
    let home = server.folder.path().join(&id).join("home");
    let text: String = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(text, format!("a b|$(c)|ä|y z|{}|input\n", home.display()));
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit_code"], &last["timed_out"]),
        (&json!("exited"), &json!(0), &json!(false))
    );
}

#[tokio::test]
async fn a_signal_and_a_timeout_have_exit_codes_of_their_own() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    assert_eq!(ann.exec(&id, &["sh", "-c", "kill -9 $$"]).await.last().unwrap()["exit_code"], 137);
    let body = json!({"argv": ["sleep", "600"], "timeout_seconds": 1});
    let lines = lines(&ann.post(&format!("/api/vms/{id}/exec"), body).await.ok(200).bytes);
    let last = lines.last().unwrap();
    assert_eq!((&last["exit_code"], &last["timed_out"]), (&json!(124), &json!(true)));
}

#[tokio::test]
async fn a_program_or_user_that_is_not_there_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let path = format!("/api/vms/{}/exec", ann.vm().await);
    assert!(ann.post(&path, json!({"argv": ["no-such"]})).await.refused(400).contains("no-such"));
    assert!(ann.post(&path, json!({"argv": []})).await.refused(400).contains("argv"));
    assert!(ann.post(&path, json!({})).await.refused(400).contains("argv"));
    let nobody = json!({"argv": ["true"], "user": "no-such-user"});
    assert!(ann.post(&path, nobody).await.refused(400).contains("no-such-user"));
}

#[tokio::test]
async fn output_comes_while_the_command_runs_and_bytes_that_are_no_text_come_whole() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let script =
        r"printf 'a\303'; printf '\244\n'; printf '\377\376'; printf done >go; while test -e go; do :; done";
    let path = format!("/api/vms/{id}/exec");
    let body = json!({"argv": ["sh", "-c", script]}).to_string();
    let mut answer = ann.client.succeed(Method::POST, &path, body).await.unwrap().into_body();
    let mut bytes = Vec::new();
    // The command ends only after its output has been seen.
    until("all output came", async || {
        bytes.extend(answer.frame().await.unwrap().unwrap().into_data().unwrap());
        let seen = String::from_utf8(bytes.clone()).unwrap();
        bytes.ends_with(b"\n") && seen.contains("base64")
    })
    .await;
    let mut output = Vec::new();
    for line in lines(&bytes) {
        output.extend(line["text"].as_str().unwrap_or_default().bytes());
        output.extend(STANDARD.decode(line["base64"].as_str().unwrap_or_default()).unwrap());
    }
    assert_eq!(output, b"a\xc3\xa4\n\xff\xfe");
    ann.delete(&format!("/api/vms/{id}/files?path=go")).await.ok(204);
    let rest = answer.collect().await.unwrap().to_bytes();
    assert_eq!(lines(&rest).last().unwrap()["exit_code"], 0);
}

#[tokio::test]
async fn a_command_dies_with_its_client() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let path = format!("/api/vms/{id}/exec");
    let body = json!({"argv": ["sh", "-c", "echo $$ >pid; exec sleep 600"]}).to_string();
    let answer = ann.client.succeed(Method::POST, &path, body).await.unwrap();
    let pid_file = server.folder.path().join(&id).join("work/pid");
    until("it runs", async || std::fs::read_to_string(&pid_file).is_ok_and(|pid| pid.ends_with('\n'))).await;
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(answer);
    until("it is dead", async || !process.exists()).await;
    until("its session has ended", async || ann.get("/api/pool").await.json()["caller"]["sessions"] == 0)
        .await;
}

#[tokio::test]
async fn a_machine_that_dies_under_a_command_is_an_error_and_never_a_success() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let path = format!("/api/vms/{id}/exec");
    let body = json!({"argv": ["sh", "-c", "echo begun; exec sleep 600"]}).to_string();
    let mut answer = ann.client.succeed(Method::POST, &path, body).await.unwrap().into_body();
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains("begun") {
        bytes.extend(answer.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    server.driver.kill_agents();
    bytes.extend(answer.collect().await.unwrap().to_bytes());
    let last = lines(&bytes).pop().unwrap();
    assert_eq!(last["event"], "error", "{last}");
    let machine = format!("/api/vms/{id}");
    until("it is gone", async || ann.get(&machine).await.json()["status"] == "failed").await;
    let again = ann.post("/api/llm/execute", json!({"language": "sh", "code": "true", "vm_id": id})).await;
    again.refused(409);
    ann.delete(&format!("/api/vms/{id}")).await.ok(200);
}

#[tokio::test]
async fn deleting_a_machine_ends_its_commands_and_tells_them() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let path = format!("/api/vms/{id}/exec");
    let body = json!({"argv": ["sleep", "600"]}).to_string();
    let answer = ann.client.succeed(Method::POST, &path, body).await.unwrap();
    ann.delete(&format!("/api/vms/{id}")).await.ok(200);
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let last = lines(&bytes).pop().unwrap();
    assert!(last["error"].as_str().unwrap().contains("deleted"), "{last}");
}
