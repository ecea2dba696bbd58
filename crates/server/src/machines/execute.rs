//! `POST /api/llm/execute`: code in, output out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as Answer};
use bytes::Bytes;
use guest::client::{ExecEvent, ExecSpec, NewFile};

use super::Service;
use super::authenticate::Known;
use super::command::{self, End};
use super::error::ApiError;
use super::language::{self, Language};
use super::lifecycle::random_id;
use super::log::LogSource;
use super::read::Json;
use super::registry::Visit;
use super::vms::enter;
use super::wire::{Execute, Executed};

/// How long code may take that names no time: what the API's elder allowed a step.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Bytes of code: a large program; an agent takes three times as much with a command.
const CODE_BYTES: usize = 1024 * 1024;

/// Bytes of each of both outputs that an answer has; ten sessions of all hold less than 100 MiB.
const OUTPUT_BYTES: usize = 4 * 1024 * 1024;

/// `POST /api/llm/execute`
pub(super) async fn execute(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Json(wanted): Json<Execute>,
) -> Result<Answer<Executed>, ApiError> {
    let Some(language) = Language::named(&wanted.language) else {
        let reason = format!("language {:?} is not known; known: {}", wanted.language, language::NAMES);
        return Err(ApiError::bad(reason));
    };
    if wanted.code.len() > CODE_BYTES {
        return Err(ApiError::bad(format!("code has more than {CODE_BYTES} bytes; send it as a file")));
    }
    let timeout = command::timeout(wanted.timeout_seconds, TIMEOUT)?;
    if let Some(id) = &wanted.vm_id {
        let visit = service.visit(&known, id).await?;
        return run(&visit, language, &wanted, timeout).await.map(Answer);
    }
    let session = service.session(&known)?;
    // Deleted when it goes, however this ends.
    let passing = service.start_and_wait(&known, None, None).await?;
    let visit = enter(Arc::clone(passing.vm()), session).await?;
    run(&visit, language, &wanted, timeout).await.map(Answer)
}

async fn run(
    visit: &Visit,
    language: Language,
    wanted: &Execute,
    timeout: Duration,
) -> Result<Executed, ApiError> {
    let execution_id = random_id("exec").map_err(|error| ApiError::conflict(error.to_string()))?;
    let folder = format!("{}/.hearth-{execution_id}", visit.machine().layout.temp);
    let agent = wanted.agent_id.as_deref().unwrap_or("an agent without a name");
    visit.vm.log.say(format!("{execution_id}: {} for {agent}", language.program()));
    let executed = run_in(visit, language, wanted, timeout, &execution_id, &folder).await;
    // It is the machine's own folder: a rest of it harms nobody.
    let remove = async { Ok(visit.machine().guest.remove(&folder).await) };
    let _ = visit.while_open(remove).await;
    executed
}

async fn run_in(
    visit: &Visit,
    language: Language,
    wanted: &Execute,
    timeout: Duration,
    execution_id: &str,
    folder: &str,
) -> Result<Executed, ApiError> {
    let file = format!("{folder}/{}", language.file_name());
    let code = NewFile { path: file.clone(), mode: 0o644, data: Bytes::from(wanted.code.clone()) };
    let spec = ExecSpec {
        argv: vec![language.program().to_owned(), file],
        cwd: wanted.working_dir.clone().unwrap_or_default(),
        timeout: Some(timeout),
        files: vec![code],
        ..ExecSpec::default()
    };
    let began = Instant::now();
    let exec = command::start(visit, spec).await?;
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let mut running = command::Running::new(visit, exec, timeout);
    let end = loop {
        let event = running
            .next()
            .await
            .map_err(|reason| ApiError::new(StatusCode::BAD_GATEWAY, format!("{execution_id}: {reason}")))?;
        match event {
            ExecEvent::Stdout(chunk) => stdout.add(&chunk),
            ExecEvent::Stderr(chunk) => stderr.add(&chunk),
            ExecEvent::Exited(status) => break End::from(status),
        }
    };
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let truncated = stdout.truncated || stderr.truncated;
    let (stdout, stderr) = (stdout.text(), stderr.text());
    visit.vm.log.add(LogSource::Stdout, Some(execution_id), stdout.clone());
    visit.vm.log.add(LogSource::Stderr, Some(execution_id), stderr.clone());
    visit.vm.log.say(format!("{execution_id}: exit code {}", end.exit_code));
    Ok(Executed {
        execution_id: execution_id.to_owned(),
        vm_id: visit.vm.id.clone(),
        exit_code: end.exit_code,
        stdout,
        stderr,
        duration_ms,
        truncated,
        error: why(end, timeout),
    })
}

/// What an exit code does not say.
fn why(end: End, timeout: Duration) -> Option<String> {
    end.timed_out.then(|| format!("killed after {} s, its timeout_seconds", timeout.as_secs()))
}

/// The beginning of an output.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Kept {
    fn add(&mut self, chunk: &[u8]) {
        let room = OUTPUT_BYTES - self.bytes.len();
        self.truncated |= chunk.len() > room;
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}
