//! What a job asked for and reached on its machine's own network, or did not.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One thing that a job tried, however often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Contact {
    /// How.
    pub protocol: Protocol,
    /// The name that was asked for, or that has led to the address.
    pub name: Option<String>,
    /// The address; `None`: a name was asked for.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// Why it was refused; `None`: it was not.
    pub refused: Option<String>,
}

/// What a contact was made with.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A question for a name.
    Name,
    /// A connection.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Name => "name",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protocol)?;
        match (self.address, self.port) {
            (Some(address), Some(port)) => write!(f, " {}", std::net::SocketAddr::new(address, port))?,
            (Some(address), None) => write!(f, " {address}")?,
            (None, _) => {}
        }
        match (&self.name, self.address) {
            (Some(name), None) => write!(f, " {name}")?,
            (Some(name), Some(_)) => write!(f, " ({name})")?,
            (None, _) => {}
        }
        match &self.refused {
            Some(reason) => write!(f, ": refused, {reason}"),
            None => Ok(()),
        }
    }
}
