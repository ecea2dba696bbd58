//! A forge that takes what it is told, and remembers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

/// A call that came in: method and path, and the body.
pub(crate) type Heard = (String, Json);

pub(crate) struct FakeForge {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Answers with this status, while it is set.
    broken: Arc<Mutex<Option<u16>>>,
}

impl FakeForge {
    pub(crate) fn start() -> FakeForge {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (heard, broken) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::<Mutex<Option<u16>>>::default());
        let (all, status) = (Arc::clone(&heard), Arc::clone(&broken));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, status) = (Arc::clone(&all), Arc::clone(&status));
                std::thread::spawn(move || converse(stream, &all, &status));
            }
        });
        FakeForge { address, heard, broken }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer_with(&self, status: Option<u16>) {
        *self.broken.lock().expect("whole") = status;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("whole").clone()
    }
}

fn converse(stream: TcpStream, heard: &Mutex<Vec<Heard>>, broken: &Mutex<Option<u16>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut stream = stream;
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let what = first.rsplit_once(' ').map_or(first.as_str(), |(what, _)| what).to_owned();
        let body = serde_json::from_slice(&body).unwrap_or(Json::Null);
        let status = *broken.lock().expect("whole");
        let answer = match (&status, what.starts_with("GET")) {
            (Some(_), _) => json!({"message": "broken"}),
            (None, true) if what.contains("/user") => json!({"login": "hearth-bot"}),
            (None, true) => json!([]),
            (None, false) => {
                let mut heard = heard.lock().expect("whole");
                heard.push((what, body));
                json!({"id": heard.len()})
            }
        };
        let (status, answer) = (status.unwrap_or(201), answer.to_string());
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}
