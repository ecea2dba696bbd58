//! What befalls a machine on the host's side, and must end it.
//!
//! A write that the host can't carry out must not become the guest's error: its kernel has told
//! the program long before that all is well, and would go on with a disk that has lost it. So
//! the machine ends, with the reason.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Said where the host's disk is full.
pub(crate) const HOST_DISK_FULL: &str = "the host's disk is full: what the machine wrote has no place, so it was ended; \
     make room, or name a data folder on another disk";

/// The first trouble of one machine, if there was any. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<OnceLock<String>>);

impl Trouble {
    /// What happened, for people.
    pub(crate) fn told(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// What takes note of trouble, and ends this process because of it.
    pub(crate) fn ends(&self, pid: Option<u32>) -> io::Result<impl Fn(String) + Send + 'static> {
        let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("it has ended"))?;
        let process: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
        let trouble = self.clone();
        Ok(move |reason| {
            // Only the first tells why.
            let _ = trouble.0.set(reason);
            // Gone already is as good.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_is_told_and_ends_the_process() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let trouble = Trouble::default();
        let end = trouble.ends(Some(child.id())).unwrap();
        assert_eq!(trouble.told(), None);
        assert!(child.try_wait().unwrap().is_none());
        end("first".to_owned());
        end("second".to_owned());
        assert!(!child.wait().unwrap().success());
        assert_eq!(trouble.told(), Some("first"));
    }
}
