//! What goes wrong, on which call.

use std::str::FromStr;

/// What a server does instead of its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refuses with these words.
    Refuse(String),
    /// Refuses without Firecracker's form of a refusal.
    RefuseOddly,
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    HangUp,
    /// Ends, with everything that it serves.
    Die,
    /// Answers something else than JSON.
    Babble,
    /// Answers without end.
    Flood,
}

/// A fault and the call that it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    /// `PUT /boot-source`.
    pub(crate) call: String,
    /// What happens.
    pub(crate) fault: Fault,
}

impl Trap {
    pub(crate) fn new(call: &str, fault: Fault) -> Self {
        Self { call: call.to_owned(), fault }
    }
}

/// `PUT /boot-source: die`, as a server that is a process of its own is told.
impl FromStr for Trap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, fault) = text.split_once(": ").ok_or_else(|| format!("{text:?} is no trap"))?;
        let fault = match fault {
            "hang" => Fault::Hang,
            "hang up" => Fault::HangUp,
            "die" => Fault::Die,
            words => Fault::Refuse(words.to_owned()),
        };
        Ok(Self::new(call, fault))
    }
}
