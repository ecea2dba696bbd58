//! Why a host gives no namespaces, and which command changes that.

use std::fs;

use nix::errno::Errno;

use super::wire::Failure;

/// A setting of a host's that keeps user namespaces away.
struct Switch {
    /// As `sysctl` calls it.
    name: &'static str,
    /// The value that does it.
    off: &'static str,
    /// The command against it.
    command: &'static str,
    /// Whether it concerns root too.
    for_root: bool,
}

/// The settings of Linux, of Debian, and of Ubuntu.
const SWITCHES: [Switch; 3] = [
    Switch {
        name: "user.max_user_namespaces",
        off: "0",
        command: "sudo sysctl -w user.max_user_namespaces=15000",
        for_root: true,
    },
    Switch {
        name: "kernel.unprivileged_userns_clone",
        off: "0",
        command: "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        for_root: false,
    },
    Switch {
        name: "kernel.apparmor_restrict_unprivileged_userns",
        off: "1",
        command: "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or give hearth an AppArmor profile with `userns,`)",
        for_root: false,
    },
];

/// What this host has set against user namespaces: a sentence for each setting, with the command against it.
pub(super) fn against_namespaces() -> Vec<String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok();
    against(read, rustix::process::geteuid().is_root())
}

/// The same of a host whose settings `read` knows.
fn against(read: impl Fn(&str) -> Option<String>, root: bool) -> Vec<String> {
    let set = |switch: &&Switch| {
        (switch.for_root || !root) && read(switch.name).is_some_and(|value| value.trim() == switch.off)
    };
    let sentence =
        |switch: &Switch| format!("{} is {} here; change it: {}", switch.name, switch.off, switch.command);
    SWITCHES.iter().filter(set).map(sentence).collect()
}

/// The failure of making namespaces.
pub(super) fn refused(operation: &str, error: Errno) -> Failure {
    let mut reasons = against_namespaces();
    if reasons.is_empty() && error == Errno::ENOSPC {
        reasons.push("the host has as many namespaces as it allows: raise user.max_user_namespaces and its like (sysctl user), or end other machines".to_owned());
    } else if reasons.is_empty() {
        reasons.push("no setting of the kernel forbids them, so it is a container or a security module: allow user namespaces and mounts there (Docker: --privileged, or --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined), or use another machine (--machine)".to_owned());
    }
    Failure::new(operation, format!("{}: {}", error.desc(), reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::against;

    #[test]
    fn the_setting_that_is_off_is_named_with_its_command_and_no_other() {
        let host = |name: &str| match name {
            "user.max_user_namespaces" => Some("62000\n".to_owned()),
            "kernel.unprivileged_userns_clone" => Some("0\n".to_owned()),
            _ => None,
        };
        let found = against(host, false);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("kernel.unprivileged_userns_clone is 0"), "{found:?}");
        assert!(found[0].ends_with("sysctl -w kernel.unprivileged_userns_clone=1"), "{found:?}");
        assert_eq!(against(host, true), Vec::<String>::new(), "it does not concern root");
    }

    #[test]
    fn ubuntus_setting_is_known() {
        let ubuntu =
            |name: &str| (name == "kernel.apparmor_restrict_unprivileged_userns").then(|| "1\n".to_owned());
        assert!(against(ubuntu, false)[0].contains("kernel.apparmor_restrict_unprivileged_userns=0"));
    }
}
