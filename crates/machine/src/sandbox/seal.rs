//! What the inside gives up before the job begins.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::wire::{Doing, Failure};

/// What root in a machine can do: own files, be other users, end processes, and listen
/// on low ports. Nothing that reaches the kernel's settings, devices, or mounts.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

/// Gives up all capabilities but the kept, for good.
pub(crate) fn drop_capabilities() -> Result<(), Failure> {
    let doing = || "giving up capabilities".to_owned();
    for capability in CapabilitySet::all() & !KEPT {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel is older than the capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).doing(doing),
        }
    }
    rustix::thread::clear_ambient_capability_set().doing(doing)?;
    let sets = CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).doing(doing)?;
    nix::sys::prctl::set_no_new_privs().doing(|| "giving up new privileges".to_owned())
}

/// A second wall around the machine's own file tree: nothing that is not below its root
/// can be opened, by whatever path it was reached, and with a newer kernel no signal and
/// no abstract socket leaves the machine. Returns what could not be had.
pub(crate) fn landlock() -> Result<Option<String>, Failure> {
    let doing = || "building the Landlock wall".to_owned();
    let abi = ABI::V6;
    let everything = AccessFs::from_all(abi);
    let root = PathFd::new("/").doing(doing)?;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)
        .doing(doing)?
        .scope(Scope::from_all(abi))
        .doing(doing)?
        .create()
        .doing(doing)?
        .add_rule(PathBeneath::new(root, everything))
        .doing(doing)?
        .restrict_self()
        .doing(doing)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => Some(
            "Landlock of this kernel is older: abstract sockets of the host are in reach with --network host"
                .to_owned(),
        ),
        RulesetStatus::NotEnforced => {
            Some("no Landlock: the file tree has one wall instead of two".to_owned())
        }
    })
}
