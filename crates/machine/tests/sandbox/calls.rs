//! System calls that are refused, made from inside by this very test binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use machine::MachineSpec;
use nix::libc;

use crate::house::{House, for_each_caller, run_argv, spec};

for_each_caller! {
    async fn calls_that_manage_the_host_are_refused(house: &House) {
        let programs = house.folder().join("programs");
        fs::create_dir(&programs).expect("a folder");
        let copy = programs.join("calls");
        fs::copy(std::env::current_exe().expect("this test"), &copy).expect("copied");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("made a program");
        let machine = house.start_as(MachineSpec { expose: vec![programs], ..spec() }).await;
        let copy = copy.display().to_string();
        let ran = run_argv(&machine, &[&copy, "--exact", "calls::made_from_inside", "--ignored", "--nocapture"]).await;
        assert!(ran.ok() && ran.output.contains("1 passed"), "{}", ran.output);
    }
}

#[test]
#[ignore = "meaningful inside of a machine only, where the test above runs it"]
fn made_from_inside() {
    if fs::read_to_string("/proc/1/comm").ok().as_deref() != Some("hearth-agent\n") {
        return;
    }
    let flag = |bit: libc::c_int| i64::from(bit);
    let refused = [
        ("mount", libc::SYS_mount, [0; 4], libc::EPERM),
        ("umount2", libc::SYS_umount2, [0; 4], libc::EPERM),
        ("pivot_root", libc::SYS_pivot_root, [0; 4], libc::EPERM),
        ("open_tree", libc::SYS_open_tree, [-100, 0, 0, 0], libc::EPERM),
        ("fsopen", libc::SYS_fsopen, [0; 4], libc::EPERM),
        ("mount_setattr", libc::SYS_mount_setattr, [0; 4], libc::EPERM),
        ("setns", libc::SYS_setns, [0; 4], libc::EPERM),
        ("bpf", libc::SYS_bpf, [0; 4], libc::EPERM),
        ("perf_event_open", libc::SYS_perf_event_open, [0; 4], libc::EPERM),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 4], libc::EPERM),
        ("keyctl", libc::SYS_keyctl, [0; 4], libc::EPERM),
        ("init_module", libc::SYS_init_module, [0; 4], libc::EPERM),
        ("kexec_load", libc::SYS_kexec_load, [0; 4], libc::EPERM),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0; 4], libc::EPERM),
        ("syslog", libc::SYS_syslog, [3, 0, 0, 0], libc::EPERM),
        ("unshare of users", libc::SYS_unshare, [flag(libc::CLONE_NEWUSER), 0, 0, 0], libc::EPERM),
        ("unshare of mounts", libc::SYS_unshare, [flag(libc::CLONE_NEWNS), 0, 0, 0], libc::EPERM),
        (
            "unshare of network among others",
            libc::SYS_unshare,
            [flag(libc::CLONE_NEWNET | libc::CLONE_FS), 0, 0, 0],
            libc::EPERM,
        ),
        (
            "clone of users",
            libc::SYS_clone,
            [flag(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0],
            libc::EPERM,
        ),
        ("clone3", libc::SYS_clone3, [0; 4], libc::ENOSYS),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0], libc::ENOSYS),
        (
            "a vsock",
            libc::SYS_socket,
            [flag(libc::AF_VSOCK), flag(libc::SOCK_STREAM), 0, 0],
            libc::EAFNOSUPPORT,
        ),
        (
            "a packet socket",
            libc::SYS_socket,
            [flag(libc::AF_PACKET), flag(libc::SOCK_RAW), 0, 0],
            libc::EAFNOSUPPORT,
        ),
        ("typing into a terminal", libc::SYS_ioctl, [0, libc::TIOCSTI.cast_signed(), 0, 0], libc::EPERM),
        (
            "tracing the agent",
            libc::SYS_ptrace,
            [flag(libc::PTRACE_ATTACH.cast_signed()), 1, 0, 0],
            libc::EPERM,
        ),
    ];
    for (name, call, arguments, expected) in refused {
        assert_eq!(errno(call, arguments), expected, "{name}");
    }
    #[cfg(target_arch = "x86_64")]
    assert_eq!(errno(0x4000_0000 + libc::SYS_mount, [0; 4]), libc::ENOSYS, "the x32 door");
    assert_eq!(errno(libc::SYS_getppid, [0; 4]), 0, "harmless calls work");
}

#[expect(unsafe_code, reason = "refused calls are made raw: libraries would look before they leap")]
fn errno(call: libc::c_long, [a, b, c, d]: [i64; 4]) -> i32 {
    // SAFETY: all pointers are null or plain numbers, and each call either is refused or fails on them.
    let result = unsafe { libc::syscall(call, a, b, c, d, 0, 0) };
    if result == -1 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}
