//! Repositories over HTTP: `git http-backend`, with as much of a web server before it as git speaks to. Who asks for one
//! whose name begins with `silent` never hears anything.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{self, Message};

/// What opens private repositories: a token of an App's installation. Of what follows any is good.
const CREDENTIALS: &str = "x-access-token:ghs_";

/// The server. Its threads end with the process.
pub(super) struct GitServer(SocketAddr);

impl GitServer {
    /// Serves the bare repositories below `root`.
    pub(super) fn start(root: PathBuf, is_private: bool) -> GitServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                // Who asks may have gone.
                thread::spawn(move || drop(answer(stream, &root, is_private)));
            }
        });
        GitServer(address)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

fn answer(mut stream: TcpStream, root: &Path, is_private: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = http::read(&mut reader)? else { return Ok(()) };
    if request.first.contains(" /octo/silent") {
        return reader.read_to_end(&mut Vec::new()).map(drop);
    }
    // The credentials have 19 bytes: the first 24 digits stand for 18 of them.
    let opens = format!("Basic {}", &STANDARD.encode(CREDENTIALS)[..24]);
    if is_private && !request.header("authorization").starts_with(&opens) {
        let head =
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\nconnection: close";
        return write!(stream, "{head}\r\n\r\n");
    }
    let output = backend(&request, root)?;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len());
    let (head, body) = output.split_at(end);
    let head = String::from_utf8_lossy(head);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = body.get(4..).unwrap_or_default();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(body)
}

/// What the CGI program says.
fn backend(request: &Message, root: &Path) -> std::io::Result<Vec<u8>> {
    let mut words = request.first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // Requests are small: what git wants fits the pipe.
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&request.body))?;
    Ok(child.wait_with_output()?.stdout)
}
