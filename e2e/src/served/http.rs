//! As much of HTTP as these tests speak: requests one after the other, bodies with a length or in chunks.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A message: its first line, its headers, and its body.
pub struct Message {
    /// Request line, or status line.
    pub first: String,
    headers: BTreeMap<String, String>,
    /// The body, without its coding.
    pub body: Vec<u8>,
}

impl Message {
    /// What a header says, by its name in small letters; empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Reads a request or an answer; `None` where nothing comes any more.
///
/// # Errors
/// The connection broke.
pub fn read(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    let mut body = Vec::new();
    match length {
        Some(length) => {
            stream.take(length).read_to_end(&mut body)?;
        }
        None if chunked => read_chunks(stream, &mut body)?,
        None => {}
    }
    Ok(Some(Message { first: first.trim().to_owned(), headers, body }))
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut size = String::new();
        stream.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
        stream.take(size).read_to_end(body)?;
        stream.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// A connection that is kept for further requests.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Asks; the status and the body.
    ///
    /// # Errors
    /// There is no answer, or none of HTTP.
    pub fn ask(&mut self, what: &str, headers: &[(&str, &str)], body: &str) -> io::Result<(u16, Vec<u8>)> {
        let answer = self.message(what, headers, body)?;
        let status = answer.first.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, answer.body))
    }

    /// Asks; the answer as it came.
    ///
    /// # Errors
    /// There is no answer, or none of HTTP.
    pub fn message(&mut self, what: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Message> {
        let kind = match headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            true => "",
            false => "content-type: application/json\r\n",
        };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let request = format!(
            "{what} HTTP/1.1\r\nhost: hearth\r\n{kind}content-length: {length}\r\n{headers}\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        read(&mut self.0)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Asks on a connection of its own; the status and the body.
///
/// # Errors
/// There is no answer, or none of HTTP.
pub fn ask(
    address: SocketAddr,
    what: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let headers: Vec<_> = [("connection", "close")].iter().chain(headers).copied().collect();
    Connection::open(address)?.ask(what, &headers, body)
}

/// Asks on a connection of its own; the answer as it came.
///
/// # Errors
/// There is no answer, or none of HTTP.
pub fn message(address: SocketAddr, what: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Message> {
    let headers: Vec<_> = [("connection", "close")].iter().chain(headers).copied().collect();
    Connection::open(address)?.message(what, &headers, body)
}
