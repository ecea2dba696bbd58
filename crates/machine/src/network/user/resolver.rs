//! Answers a guest's questions for names, by asking those whom the host asks.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::UdpSocket;

use super::Shared;
use crate::network::Verdict;
use crate::network::names::{Code, Question};

/// How long one server has.
const DEADLINE: Duration = Duration::from_secs(3);
/// How many are asked in turn, as resolvers do.
const SERVERS: usize = 3;
/// Longest answer.
const ANSWER_BYTES: usize = 4096;
/// What holds for less holds for this long: between a guest's question and its last try to connect.
const LEAST: Duration = Duration::from_secs(120);
/// What holds for longer is asked again.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// The answer to a message; `None` for what is no question.
pub(super) async fn answer(shared: &Shared, message: &[u8]) -> Option<Vec<u8>> {
    let question = Question::read(message)?;
    if shared.judge_name(&question.name) != Verdict::Allowed {
        return Some(question.answer(message, Code::NoName));
    }
    if question.is_of_ipv6() {
        return Some(question.answer(message, Code::Nothing));
    }
    for server in shared.servers.iter().take(SERVERS) {
        let asked = tokio::time::timeout(DEADLINE, ask(*server, &question, message)).await;
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
async fn ask(server: SocketAddr, question: &Question, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let mut asked = message.to_vec();
    getrandom(&mut asked[..2], GetRandomFlags::empty())?;
    socket.send(&asked).await?;
    let mut buffer = vec![0; ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if question.is_answered_by(&asked, &buffer[..length]) {
            buffer.truncate(length);
            buffer[..2].copy_from_slice(&message[..2]);
            return Ok(buffer);
        }
    }
}
