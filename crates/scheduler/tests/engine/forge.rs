//! A forge that takes what it is told, remembers, and fails as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value as Json, json};

/// A call that came in: method and path, and the body.
pub(crate) type Heard = (String, Json);

/// How a call goes wrong.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Refused, with headers and a message.
    Refuse(u16, Vec<(&'static str, String)>, &'static str),
    /// Never answered.
    Silent,
    /// Carried out, and then the connection is cut.
    LoseAnswer,
}

type Faults = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    /// What was carried out.
    heard: Vec<Heard>,
    /// Everything that was asked, also what was refused.
    asked: Vec<String>,
    comments: Vec<Json>,
    /// What `GET` of a path answers.
    shown: Vec<(&'static str, Json)>,
    faults: Option<Faults>,
}

pub(crate) struct FakeForge {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeForge {
    pub(crate) fn start() -> FakeForge {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || converse(stream, &state));
            }
        });
        FakeForge { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("whole")
    }

    /// From now on refuses everything with this status, or nothing.
    pub(crate) fn answer_with(&self, status: Option<u16>) {
        self.fail(move |_| status.map(|status| Fault::Refuse(status, Vec::new(), "broken")));
    }

    /// From now on fails as this says of each call.
    pub(crate) fn fail(&self, faults: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        self.state().faults = Some(Box::new(faults));
    }

    /// From now on shows this where it is asked for a path that begins so.
    pub(crate) fn show(&self, path: &'static str, what: Json) {
        let mut state = self.state();
        state.shown.retain(|(known, _)| *known != path);
        state.shown.push((path, what));
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// The comments that are there.
    pub(crate) fn comments(&self) -> Vec<Json> {
        self.state().comments.clone()
    }
}

/// How long a call that is never answered is kept.
const FOR_EVER: Duration = Duration::from_secs(3600);

fn converse(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut stream = stream;
    while let Some((what, body)) = read(&mut reader) {
        let fault = {
            let mut state = state.lock().expect("whole");
            state.asked.push(what.clone());
            state.faults.as_mut().and_then(|faults| faults(&what))
        };
        let (status, headers, answer) = match fault {
            Some(Fault::Refuse(status, headers, message)) => (status, headers, json!({"message": message})),
            Some(Fault::Silent) => {
                // Until the client has had enough.
                stream.set_read_timeout(Some(FOR_EVER)).expect("set");
                let _ = reader.read(&mut [0]);
                return;
            }
            Some(Fault::LoseAnswer) => {
                state.lock().expect("whole").carry_out(what, body);
                return;
            }
            None => (201, Vec::new(), state.lock().expect("whole").carry_out(what, body)),
        };
        let answer = answer.to_string();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}

impl State {
    fn carry_out(&mut self, what: String, body: Json) -> Json {
        let (method, path) = what.split_once(' ').expect("a request");
        if method == "GET" {
            if let Some((_, shown)) = self.shown.iter().find(|(shown, _)| path.starts_with(shown)) {
                return shown.clone();
            }
            return match path.split('?').next().unwrap_or_default() {
                "/user" => json!({"login": "hearth-bot"}),
                path if path.ends_with("/comments") => Json::Array(self.comments.clone()),
                _ => json!([]),
            };
        }
        let id = self.heard.len() + 1;
        if method == "POST" && path.ends_with("/comments") {
            let user = json!({"login": "hearth-bot"});
            self.comments.push(json!({"id": id, "user": user, "body": body["body"]}));
        } else if let Some((_, id)) = path.rsplit_once("/issues/comments/").filter(|_| method == "PATCH") {
            let comment = self.comments.iter_mut().find(|comment| comment["id"].as_u64() == id.parse().ok());
            comment.expect("a comment that is there")["body"] = body["body"].clone();
        }
        self.heard.push((what, body));
        json!({"id": id})
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Heard> {
    let (mut first, mut length) = (String::new(), 0);
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let what = first.rsplit_once(' ').map_or(first.as_str(), |(what, _)| what).to_owned();
    Some((what, serde_json::from_slice(&body).unwrap_or(Json::Null)))
}
