//! What a client asks a fake server for.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

/// Reads a request to its end. Gives its method, and its path with what stands behind a `?`.
pub(crate) fn read(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let _ = reader.read_exact(&mut vec![0; length]);
    let mut words = first.split(' ').map(str::to_owned);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}
