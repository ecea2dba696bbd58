//! A forge's API that takes what it is told, and remembers.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::http;

/// Method and path, and the body; of a removal, who asks for it.
pub type Heard = (String, Json);

/// The installation of an App on `octo`.
const INSTALLATION: u64 = 9;

/// The forge. Its threads end with the process.
pub struct Forge {
    address: SocketAddr,
    heard: Arc<(Mutex<Vec<Heard>>, Condvar)>,
}

impl Forge {
    /// Listens on a port of its own.
    pub fn start() -> Forge {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::<(Mutex<Vec<Heard>>, Condvar)>::default();
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || converse(stream, &all));
            }
        });
        Forge { address, heard }
    }

    /// What `GITHUB_API_URL` is to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it has heard something like this.
    pub fn heard(&self, is: impl Fn(&Heard) -> bool) -> Heard {
        let (heard, changed) = &*self.heard;
        let heard = heard.lock().expect("whole");
        let is_there = |heard: &mut Vec<Heard>| !heard.iter().any(&is);
        let (heard, _) = changed.wait_timeout_while(heard, Duration::from_secs(60), is_there).expect("whole");
        heard.iter().find(|heard| is(heard)).cloned().unwrap_or_else(|| panic!("it has heard {heard:?}"))
    }
}

fn converse(stream: TcpStream, (heard, changed): &(Mutex<Vec<Heard>>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut stream = stream;
    while let Ok(Some(request)) = http::read(&mut reader) {
        let what = request.first.rsplit_once(' ').map_or(request.first.as_str(), |(what, _)| what).to_owned();
        let answer = match what.as_str() {
            "GET /app/installations/9" => {
                let may = json!({"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write"});
                json!({"id": INSTALLATION, "permissions": may})
            }
            "GET /repos/octo/hello/installation" => json!({"id": INSTALLATION}),
            what if what.starts_with("GET") => json!([]),
            _ => {
                let said = match what.starts_with("DELETE") {
                    true => json!(request.header("authorization")),
                    false => serde_json::from_slice(&request.body).unwrap_or(Json::Null),
                };
                let mut heard = heard.lock().expect("whole");
                let token = format!("ghs_token{}", heard.len());
                let until = "2999-01-01T00:00:00Z";
                let permissions = said["permissions"].clone();
                heard.push((what, said));
                changed.notify_all();
                json!({"id": heard.len(), "token": token, "expires_at": until, "permissions": permissions})
            }
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 201 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}
