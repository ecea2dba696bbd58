//! Whose ids a machine's processes have on the host.
//!
//! Root never maps itself into a machine: to the kernel, host uid 0 inside of a user
//! namespace still owns `/proc/sys` and every file of root's. It gives each machine a
//! range of its own instead. An ordinary user has no id to give but its own.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use rustix::thread::CapabilitySet;

use super::wire::Failure;

/// Ids in a range: what a Linux system expects (`nobody` is 65534).
pub(crate) const RANGE_LEN: u32 = 65536;
/// Where ranges begin: above all that `/etc/subuid`, systemd-nspawn and homed hand out
/// (<https://systemd.io/UIDS-GIDS/>, "unused" from 0x70000000).
const FIRST_RANGE: u32 = 0x7000_0000;
/// Ranges up to the end of the positive ids.
const RANGES: u32 = 0xFFE;
/// Ranges tried before giving up; each taken one belongs to a running machine.
const RANGE_ATTEMPTS: u32 = 512;

/// How ids inside of the machine become ids of the host.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Inner 0..65536 are `base`.. on the host. Nobody else uses the range while `_lease` lives.
    Range {
        /// The host's id of inner root.
        base: u32,
        /// Held as long as the range is used.
        _lease: UnixListener,
    },
    /// Inner 0 is the user who started it, and there is no other id.
    Single {
        /// The user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl Identity {
    /// Takes what this process can give.
    pub(crate) fn take(seed: u32) -> Result<Self, Failure> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        if uid != 0 {
            return Ok(Identity::Single { uid, gid });
        }
        if !has_high_ids(&map) {
            // Root of a user namespace is somebody ordinary to the kernel.
            return Ok(Identity::Single { uid, gid });
        }
        if !may_administer() {
            return Err(Failure::new(
                "taking ids for the machine",
                "this is root without CAP_SYS_ADMIN (a container?): run Hearth as an ordinary user, or give the container --privileged, or use another machine (--machine)",
            ));
        }
        let (base, lease) = lease_range(seed)?;
        Ok(Identity::Range { base, _lease: lease })
    }

    /// The host's owner of what belongs to inner root, where it is not the caller itself.
    pub(crate) fn owner(&self) -> Option<u32> {
        match self {
            Identity::Range { base, .. } => Some(*base),
            Identity::Single { .. } => None,
        }
    }

    /// Gives the user namespace of process `pid` its maps.
    pub(crate) fn write_maps(&self, pid: i32) -> Result<(), Failure> {
        let (uids, gids) = match self {
            Identity::Range { base, .. } => {
                let map = format!("0 {base} {RANGE_LEN}");
                (map.clone(), map)
            }
            Identity::Single { uid, gid } => {
                // Otherwise a process could drop a group that denies it something.
                write(pid, "setgroups", "deny")?;
                (format!("0 {uid} 1"), format!("0 {gid} 1"))
            }
        };
        write(pid, "uid_map", &uids)?;
        write(pid, "gid_map", &gids)
    }
}

fn write(pid: i32, file: &str, text: &str) -> Result<(), Failure> {
    let path = format!("/proc/{pid}/{file}");
    fs::write(&path, text)
        .map_err(|error| Failure::new(format!("writing {file} of the user namespace"), error))
}

/// Whether the ids of our ranges exist in this user namespace.
fn has_high_ids(map: &str) -> bool {
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().filter_map(|field| field.parse::<u64>().ok());
        let (Some(first), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        first <= u64::from(FIRST_RANGE)
            && first + count >= u64::from(FIRST_RANGE) + u64::from(RANGES) * u64::from(RANGE_LEN)
    })
}

fn may_administer() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Finds a range that no other machine of this host has.
///
/// The mark of a taken range is an abstract socket: it is seen across data folders, and
/// the kernel removes it with its owner, however that dies.
pub(super) fn lease_range(seed: u32) -> Result<(u32, UnixListener), Failure> {
    for attempt in 0..RANGE_ATTEMPTS {
        let index = seed.wrapping_add(attempt) % RANGES;
        let base = FIRST_RANGE + index * RANGE_LEN;
        let lease = SocketAddr::from_abstract_name(format!("hearth-ids-{base}"))
            .and_then(|address| UnixListener::bind_addr(&address));
        if let Ok(lease) = lease {
            return Ok((base, lease));
        }
    }
    Err(Failure::new(
        "taking ids for the machine",
        format!(
            "{RANGE_ATTEMPTS} ranges of ids are all taken (sockets @hearth-ids-* in /proc/net/unix): end other machines"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_never_given_twice_at_once() {
        let (first, held) = lease_range(7).expect("a range");
        let (second, _also) = lease_range(7).expect("another range");
        assert_ne!(first, second);
        drop(held);
    }

    #[test]
    fn only_a_map_of_all_ids_has_room_for_ranges() {
        assert!(has_high_ids("         0          0 4294967295\n"));
        assert!(!has_high_ids("         0     100000      65536\n"));
        assert!(!has_high_ids(""));
        assert!(!has_high_ids("a b c"));
    }
}
