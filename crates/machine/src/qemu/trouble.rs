//! What QEMU tells of trouble on the host's side. It stops the guest at the instruction that the host can't carry out.

use serde_json::Value;

use crate::vm::trouble::HOST_DISK_FULL;

/// What an event says of the host's trouble, if it does
/// (<https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html>, `BLOCK_IO_ERROR`).
pub(super) fn meaning(event: &Value) -> Option<String> {
    let data = &event["data"];
    if event["event"] != "BLOCK_IO_ERROR" || data["action"] != "stop" {
        return None;
    }
    if data["nospace"] == true {
        return Some(HOST_DISK_FULL.to_owned());
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
}
