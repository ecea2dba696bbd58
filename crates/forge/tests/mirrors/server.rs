//! `git http-backend` behind a small HTTP server, with knobs for what goes wrong on a network.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Answers of packs end in the middle.
    Cut,
    /// Nothing is ever answered; that the client has gone is told.
    Silent,
    /// The server is broken.
    Status(u16),
}

pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    /// What `Authorization` must be.
    authorization: Option<String>,
    fault: Mutex<Fault>,
    /// Each request: its line, and whether it came with a token.
    seen: Mutex<Vec<(String, bool)>>,
    /// Answers in which the server said how far it was with its pack.
    told: Mutex<usize>,
    hung_up: Notify,
}

impl Server {
    pub(crate) async fn start(root: &Path, authorization: Option<&str>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            root: root.to_owned(),
            authorization: authorization.map(str::to_owned),
            fault: Mutex::new(Fault::None),
            seen: Mutex::default(),
            told: Mutex::default(),
            hung_up: Notify::new(),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move { state.serve(stream).await });
            }
        });
        Server { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/octo/hello.git", self.address)
    }

    pub(crate) fn fail(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
    }

    /// Waits until a client that got no answer has gone.
    pub(crate) async fn hung_up(&self) {
        self.state.hung_up.notified().await;
    }

    pub(crate) fn told(&self) -> usize {
        *self.state.told.lock().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<(String, bool)> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl State {
    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let Some((line, headers)) = head(&mut stream).await else { return };
        let authorization = headers.get("authorization").cloned();
        self.seen.lock().unwrap().push((line.clone(), authorization.is_some()));
        let fault = *self.fault.lock().unwrap();
        let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let answer = match fault {
            Fault::Silent => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return self.hung_up.notify_one();
            }
            Fault::Status(status) => {
                format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n").into_bytes()
            }
            _ if self.authorization.is_some() && authorization != self.authorization => {
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec()
            }
            fault => {
                let mut answer = self.backend(&line, &headers, &body).await;
                let progress = b"Enumerating objects";
                let is_told = answer.windows(progress.len()).any(|words| words == progress);
                *self.told.lock().unwrap() += usize::from(is_told);
                if fault == Fault::Cut && line.contains("git-upload-pack HTTP") {
                    answer.truncate(answer.len() - 40);
                }
                answer
            }
        };
        // The client may have gone.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }

    /// Runs the CGI program, and makes HTTP of what it says.
    async fn backend(&self, line: &str, headers: &HashMap<String, String>, body: &[u8]) -> Vec<u8> {
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", method)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feed = async {
            let _ = stdin.write_all(body).await;
            drop(stdin);
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.unwrap().stdout;
        let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let said = String::from_utf8_lossy(&output[..end]).into_owned();
        let status = said.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
        let content = &output[end + 4..];
        let head = format!(
            "HTTP/1.1 {status}\r\n{said}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            content.len()
        );
        [head.as_bytes(), content].concat()
    }
}

async fn head(stream: &mut BufReader<TcpStream>) -> Option<(String, HashMap<String, String>)> {
    let mut first = String::new();
    let mut headers = HashMap::new();
    stream.read_line(&mut first).await.ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => return Some((first.trim().to_owned(), headers)),
        };
    }
}
