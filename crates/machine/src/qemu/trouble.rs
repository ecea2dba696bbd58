//! What befalls a machine on the host's side, and must end it.
//!
//! A write that the host can't carry out must not become the guest's error: its kernel has told
//! the program long before that all is well, and would go on with a disk that has lost it. So
//! QEMU stops the guest at that instruction and says so, and the machine ends with the reason.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

/// The first trouble of one machine, if there was any. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<OnceLock<String>>);

impl Trouble {
    /// What happened, for people.
    pub(super) fn told(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// What looks at QEMU's events, and ends this process of QEMU when one of them means trouble.
    pub(super) fn watch(&self, pid: Option<u32>) -> std::io::Result<impl Fn(&Value) + Send + 'static> {
        let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| std::io::Error::other("it has ended"))?;
        let process: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
        let trouble = self.clone();
        Ok(move |event: &Value| {
            if let Some(reason) = meaning(event) {
                // Only the first tells why.
                let _ = trouble.0.set(reason);
                // Gone already is as good.
                let _ = pidfd_send_signal(&process, Signal::KILL);
            }
        })
    }
}

/// What an event says of the host's trouble, if it does
/// (<https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html>, `BLOCK_IO_ERROR`).
fn meaning(event: &Value) -> Option<String> {
    let data = &event["data"];
    if event["event"] != "BLOCK_IO_ERROR" || data["action"] != "stop" {
        return None;
    }
    if data["nospace"] == true {
        return Some(
            "the host's disk is full: what the machine wrote has no place, so it was ended; make room, or name \
             a data folder on another disk"
                .to_owned(),
        );
    }
    let (doing, disk) = (data["operation"].as_str(), data["device"].as_str());
    let doing = if doing == Some("read") { "read from" } else { "write to" };
    let disk = if disk == Some("root") { "its image" } else { "its disk" };
    let reason = data["reason"].as_str().unwrap_or("QEMU does not say why");
    Some(format!("the host can't {doing} {disk}, so the machine was ended: {reason}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(data: Value) -> Value {
        json!({ "event": "BLOCK_IO_ERROR", "data": data })
    }

    #[test]
    fn only_what_stopped_the_guest_is_trouble_and_it_says_why() {
        let full = event(json!({
            "device": "scratch", "operation": "write", "action": "stop", "nospace": true, "reason": "x",
        }));
        assert!(meaning(&full).unwrap().starts_with("the host's disk is full: "));
        let broken = event(json!({
            "device": "root", "operation": "read", "action": "stop", "nospace": false, "reason": "I/O error",
        }));
        let expected = "the host can't read from its image, so the machine was ended: I/O error";
        assert_eq!(meaning(&broken).unwrap(), expected);
        for other in [event(json!({ "action": "report", "nospace": true })), json!({ "event": "STOP" })] {
            assert_eq!(meaning(&other), None, "{other}");
        }
    }

    #[test]
    fn the_first_trouble_is_told_and_ends_the_process() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let trouble = Trouble::default();
        let watch = trouble.watch(Some(child.id())).unwrap();
        watch(&json!({ "event": "RESUME" }));
        assert_eq!(trouble.told(), None);
        for reason in ["first", "second"] {
            watch(&event(json!({ "action": "stop", "operation": "write", "reason": reason })));
        }
        assert!(!child.wait().unwrap().success());
        assert!(trouble.told().unwrap().ends_with(": first"));
    }
}
