//! Which system calls a machine's processes may not make.
//!
//! A list of what is refused, not of what is allowed: compilers, browsers and language
//! runtimes reach for the whole interface. Refused is what manages the host (mounts,
//! modules, keys, clocks), what opens a new user namespace (and with it the kernel's
//! least tried code), and what only a supervisor needs. `ptrace` stays: leak sanitizers
//! and debuggers need it, and in the machine's pid namespace it reaches the job's own
//! processes only (the agent is not dumpable).
//!
//! One kind of call is not refused but passed over: giving a file to an owner that the machine
//! doesn't have. Root unpacks archives with the owners that they name, and on GitHub's machines
//! who unpacks is not root; failing would end ordinary jobs over who owned a file elsewhere.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::wire::{Doing, Failure};

/// Refused with EPERM, whatever the arguments.
const DENIED: &[libc::c_long] = &[
    // File systems and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_fanotify_init,
    // Namespaces.
    libc::SYS_setns,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // Keys belong to users, not to namespaces.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Clocks.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

/// The same, of machines with I/O ports.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] =
    &[libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib, libc::SYS_ustat];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[libc::c_long] = &[libc::SYS_kexec_file_load];

/// Refused with ENOSYS: callers have another way. The flags of `clone3` lie in memory,
/// where a filter can't look.
const ABSENT: &[libc::c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// `open_tree_attr(2)` of Linux 6.15, the same number on every architecture; unknown to libc yet.
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

/// Flags of `clone` and `unshare` that make a namespace.
const NEW_NAMESPACE: [libc::c_int; 8] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    /* CLONE_NEWTIME, which in clone(2) is part of the signal's byte */ 0x80,
];

/// Terminal controls that type into somebody's terminal.
const TYPING: [libc::c_ulong; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The socket families that a job needs; vsock, packet and crypto sockets reach around the network.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Calls that give files away, and which of their arguments are the new user and the new group.
#[cfg(target_arch = "x86_64")]
const GIVING: &[(libc::c_long, [u8; 2])] = &[
    (libc::SYS_chown, [1, 2]),
    (libc::SYS_lchown, [1, 2]),
    (libc::SYS_fchown, [1, 2]),
    (libc::SYS_fchownat, [2, 3]),
];
#[cfg(not(target_arch = "x86_64"))]
const GIVING: &[(libc::c_long, [u8; 2])] = &[(libc::SYS_fchown, [1, 2]), (libc::SYS_fchownat, [2, 3])];

/// What stands for "leave it as it is" among owners.
const SAME_OWNER: u64 = u32::MAX as u64;

/// Puts the filters on the calling thread and all that it will start. It must have no new privileges.
///
/// `ids` is the number of users and groups in the machine, from 0 on.
pub(crate) fn apply(ids: u32) -> Result<(), Failure> {
    let whole =
        |calls: &[libc::c_long]| calls.iter().map(|call| (*call, Vec::new())).collect::<BTreeMap<_, _>>();
    let mut denied = whole(DENIED);
    denied.extend(whole(DENIED_HERE));
    denied.extend(whole(&[SYS_OPEN_TREE_ATTR]));
    denied.extend(by_argument()?);

    // Each filter that is installed costs every system call a pass, so there are few.
    install(denied, libc::EPERM)?;
    install(whole(ABSENT), libc::ENOSYS)?;
    install(families()?, libc::EAFNOSUPPORT)?;
    install(giving(ids)?, 0)?;
    apply_program(&foreign_calls())
}

/// Calls that are refused with some arguments.
fn by_argument() -> Result<BTreeMap<i64, Vec<SeccompRule>>, Failure> {
    let mut rules = BTreeMap::new();
    let flag = |bit: libc::c_int| {
        let bit = u64::from(bit.cast_unsigned());
        rule(vec![condition(0, SeccompCmpOp::MaskedEq(bit), bit)?])
    };
    rules.insert(libc::SYS_unshare, NEW_NAMESPACE.iter().map(|bit| flag(*bit)).collect::<Result<_, _>>()?);
    // The lowest byte of clone's flags is a signal.
    let cloned = NEW_NAMESPACE.iter().filter(|bit| **bit > 0xff);
    rules.insert(libc::SYS_clone, cloned.map(|bit| flag(*bit)).collect::<Result<_, _>>()?);
    let typing = TYPING.iter().map(|request| rule(vec![condition(1, SeccompCmpOp::Eq, *request)?]));
    rules.insert(libc::SYS_ioctl, typing.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Sockets of all families but the usual.
fn families() -> Result<BTreeMap<i64, Vec<SeccompRule>>, Failure> {
    let others =
        FAMILIES.iter().map(|family| condition(0, SeccompCmpOp::Ne, u64::from(family.cast_unsigned())));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let rules = vec![rule(others)?];
    Ok([libc::SYS_socket, libc::SYS_socketpair].into_iter().map(|call| (call, rules.clone())).collect())
}

/// Giving files to users or groups from `ids` on.
fn giving(ids: u32) -> Result<BTreeMap<i64, Vec<SeccompRule>>, Failure> {
    let strange = |argument| {
        rule(vec![
            condition(argument, SeccompCmpOp::Ge, u64::from(ids))?,
            condition(argument, SeccompCmpOp::Ne, SAME_OWNER)?,
        ])
    };
    GIVING.iter().map(|(call, owners)| Ok((*call, vec![strange(owners[0])?, strange(owners[1])?]))).collect()
}

/// A condition on the lower half of an argument: the kernel looks at no more of these.
fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, Failure> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).doing(building)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, Failure> {
    SeccompRule::new(conditions).doing(building)
}

fn install(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: libc::c_int) -> Result<(), Failure> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).doing(building)?;
    let action = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).doing(building)?;
    apply_program(&BpfProgram::try_from(filter).doing(building)?)
}

fn apply_program(program: &BpfProgram) -> Result<(), Failure> {
    seccompiler::apply_filter(program).doing(|| "installing the system call filter".to_owned())
}

fn building() -> String {
    "building the system call filter".to_owned()
}

/// The second set of numbers that x86-64 kernels may answer to (x32): a list of what is
/// refused would not know them, so all are absent.
fn foreign_calls() -> BpfProgram {
    use seccompiler::sock_filter;
    /// Bit that marks a number of the x32 interface.
    const X32: u32 = 0x4000_0000;
    let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        sock_filter { code: (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16, jt: 0, jf: 1, k: X32 },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ]
}
