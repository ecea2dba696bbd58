//! Answers a guest's questions for names, by asking those whom the host asks, in the way in which
//! it was asked: an answer may be too long for a datagram.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::Shared;
use super::frames::PAYLOAD_BYTES;
use super::stream::GuestStream;
use crate::network::Verdict;
use crate::network::names::{Code, Question};

/// How long one server has.
const DEADLINE: Duration = Duration::from_secs(3);
/// How many are asked in turn, as resolvers do.
const SERVERS: usize = 3;
/// Longest answer in a datagram: what resolvers say that they take.
const ANSWER_BYTES: usize = 4096;
/// Questions on one stream: more than a program asks at its start.
const STREAM_QUESTIONS: usize = 100;
/// How long a stream may be silent (RFC 7766 asks for a few seconds).
const STREAM_SILENCE: Duration = Duration::from_secs(10);
/// What holds for less holds for this long: between a guest's question and its last try to connect.
const LEAST: Duration = Duration::from_secs(120);
/// What holds for longer is asked again.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Datagram,
    Stream,
}

/// The answer to a datagram, not longer than one; `None` for what is no question.
pub(super) async fn answer_datagram(shared: &Shared, message: &[u8]) -> Option<Vec<u8>> {
    let answer = answer(shared, message, Way::Datagram).await?;
    if answer.len() <= PAYLOAD_BYTES { Some(answer) } else { Some(Question::read(message)?.cut(message)) }
}

/// Answers what is asked on a stream, one question after the other.
pub(super) async fn serve(shared: &Shared, mut stream: GuestStream) -> std::io::Result<()> {
    for _ in 0..STREAM_QUESTIONS {
        let length = tokio::time::timeout(STREAM_SILENCE, stream.read_u16()).await??;
        let mut message = vec![0; length.into()];
        tokio::time::timeout(STREAM_SILENCE, stream.read_exact(&mut message)).await??;
        let Some(answer) = answer(shared, &message, Way::Stream).await else { break };
        tokio::time::timeout(STREAM_SILENCE, write(&mut stream, &answer)).await??;
    }
    stream.shutdown().await
}

/// Writes a message with its length in front, as streams have them; in one piece, for servers that read once.
async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

/// The answer to a message; `None` for what is no question.
async fn answer(shared: &Shared, message: &[u8], way: Way) -> Option<Vec<u8>> {
    let question = Question::read(message)?;
    if shared.judge_name(&question.name) != Verdict::Allowed {
        return Some(question.answer(message, Code::NoName));
    }
    if question.is_of_ipv6() {
        return Some(question.answer(message, Code::Nothing));
    }
    for server in shared.servers.iter().take(SERVERS) {
        let asked = tokio::time::timeout(DEADLINE, ask(*server, &question, message, way)).await;
        if let Ok(Ok(answer)) = asked {
            let addresses = question.addresses(&answer).into_iter();
            let addresses = addresses.map(|(address, holds)| (address, holds.clamp(LEAST, MOST)));
            shared.remember(&question.name, addresses.collect());
            return Some(answer);
        }
    }
    Some(question.answer(message, Code::Failed))
}

/// Asks one server, under a number of our own: a guest that chooses it could have an answer forged.
async fn ask(server: SocketAddr, question: &Question, message: &[u8], way: Way) -> std::io::Result<Vec<u8>> {
    let mut asked = message.to_vec();
    getrandom(&mut asked[..2], GetRandomFlags::empty())?;
    let mut answer = match way {
        Way::Datagram => ask_by_datagram(server, question, &asked).await?,
        Way::Stream => ask_by_stream(server, question, &asked).await?,
    };
    answer[..2].copy_from_slice(&message[..2]);
    Ok(answer)
}

async fn ask_by_datagram(server: SocketAddr, question: &Question, asked: &[u8]) -> std::io::Result<Vec<u8>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(asked).await?;
    let mut buffer = vec![0; ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if question.is_answered_by(asked, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_by_stream(server: SocketAddr, question: &Question, asked: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, asked).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    if question.is_answered_by(asked, &answer) {
        Ok(answer)
    } else {
        Err(std::io::Error::other("that is no answer"))
    }
}
