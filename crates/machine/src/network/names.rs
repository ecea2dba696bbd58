//! Questions for names, and their answers ([RFC 1035](https://www.rfc-editor.org/rfc/rfc1035)):
//! as much of them as it takes to decide and to know what addresses a name has.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// An IPv4 address.
const A: u16 = 1;
/// An IPv6 address, and records that hold addresses beside other things (RFC 9460).
const OF_IPV6: [u16; 3] = [28, 64, 65];
const HEADER_BYTES: usize = 12;
/// Longest name.
const NAME_BYTES: usize = 255;

/// How a question is answered without asking anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// There is such a name, and nothing of the kind that was asked for.
    Nothing = 0,
    /// Nobody could be asked.
    Failed = 2,
    /// There is no such name.
    NoName = 3,
}

/// A question for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: String,
    kind: u16,
    end: usize,
}

impl Question {
    /// Reads a message that asks one question; `None` for everything else.
    pub(super) fn read(message: &[u8]) -> Option<Question> {
        // No answer, an ordinary question, one of them.
        if message.get(2)? & 0b1111_1000 != 0 || short(message, 4)? != 1 {
            return None;
        }
        let mut name = String::new();
        let mut at = HEADER_BYTES;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = message.get(at..at + length).filter(|_| length < 64)?;
            if !label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.') {
                return None;
            }
            at += length;
            name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
            name.push('.');
            if name.len() > NAME_BYTES {
                return None;
            }
        }
        name.pop();
        Some(Question { name, kind: short(message, at)?, end: at + 4 }).filter(|q| q.end <= message.len())
    }

    /// Whether the answer would lead into a network that the machine does not have.
    pub(super) fn is_of_ipv6(&self) -> bool {
        OF_IPV6.contains(&self.kind)
    }

    /// An answer without records to the message that asked.
    pub(super) fn answer(&self, message: &[u8], code: Code) -> Vec<u8> {
        let mut answer = message[..self.end].to_vec();
        // An answer, to what was asked, recursion available, one question and nothing else.
        answer[2] = 0b1000_0000 | (message[2] & 1);
        answer[3] = 0b1000_0000 | code as u8;
        answer[4..HEADER_BYTES].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        answer
    }

    /// An answer that says that the whole is to be had by a stream.
    pub(super) fn cut(&self, message: &[u8]) -> Vec<u8> {
        let mut answer = self.answer(message, Code::Nothing);
        answer[2] |= 0b10;
        answer
    }

    /// Whether a message is an answer to this question.
    pub(super) fn is_answered_by(&self, asked: &[u8], answer: &[u8]) -> bool {
        answer.len() >= self.end
            && answer[..2] == asked[..2]
            && answer[2] & 0b1000_0000 != 0
            && answer[HEADER_BYTES..self.end].eq_ignore_ascii_case(&asked[HEADER_BYTES..self.end])
    }

    /// The addresses in an answer, with the time for which they hold. What can't be read ends the list.
    pub(super) fn addresses(&self, answer: &[u8]) -> Vec<(IpAddr, Duration)> {
        let mut found = Vec::new();
        let (mut at, count) = (self.end, short(answer, 6).unwrap_or(0));
        for _ in 0..count {
            let Some((record, next)) = record(answer, at) else { break };
            at = next;
            found.extend(record);
        }
        found
    }
}

/// The address that the record at this place has, and the place of the next.
fn record(answer: &[u8], at: usize) -> Option<(Option<(IpAddr, Duration)>, usize)> {
    let at = after_name(answer, at)?;
    let (kind, holds, length) = (short(answer, at)?, long(answer, at + 4)?, short(answer, at + 8)?);
    let data = answer.get(at + 10..at + 10 + usize::from(length))?;
    let address = <[u8; 4]>::try_from(data).ok().filter(|_| kind == A).map(Ipv4Addr::from);
    let address = address.map(|address| (address.into(), Duration::from_secs(holds.into())));
    Some((address, at + 10 + usize::from(length)))
}

/// A name ends with an empty label, or goes on elsewhere, which does not matter here.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..64 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

fn short(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn long(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A question for the address of a name.
    pub(in crate::network) fn question(name: &str) -> Vec<u8> {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
        message
    }

    /// An answer with an alias and this address.
    pub(in crate::network) fn answered(question: &[u8], address: [u8; 4]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] |= 0x80;
        message[7] = 2;
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4]);
        message.extend(address);
        message
    }

    #[test]
    fn a_question_is_read_and_its_answer_is_known() {
        let asked = question("Example.org");
        let read = Question::read(&asked).unwrap();
        assert_eq!(read.name, "example.org");
        let answer = answered(&asked, [203, 0, 113, 9]);
        assert!(read.is_answered_by(&asked, &answer) && !read.is_answered_by(&asked, &asked));
        assert_eq!(read.addresses(&answer), [("203.0.113.9".parse().unwrap(), Duration::from_secs(256))]);
        let refusal = read.answer(&asked, Code::NoName);
        assert!(read.is_answered_by(&asked, &refusal));
        assert_eq!((refusal[3] & 15, refusal.len()), (3, asked.len()));
    }

    #[test]
    fn no_message_however_broken_is_more_than_not_understood() {
        let asked = question("example.org");
        let answer = answered(&asked, [1, 2, 3, 4]);
        let read = Question::read(&asked).unwrap();
        for length in 0..answer.len() {
            let _ = Question::read(&answer[..length]);
            let _ = read.addresses(&answer[..length]);
            let _ = read.is_answered_by(&asked, &answer[..length]);
            assert!(Question::read(&asked[..length.min(asked.len() - 1)]).is_none());
        }
        for at in 0..answer.len() {
            for value in [0, 1, 63, 64, 192, 255] {
                let mut broken = answer.clone();
                broken[at] = value;
                let _ = Question::read(&broken);
                let _ = read.addresses(&broken);
            }
        }
    }
}
