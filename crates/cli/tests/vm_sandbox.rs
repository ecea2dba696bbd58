//! Sandboxes on a host with control groups v2 and the switches of Debian's kernel: a virtual machine, where
//! `HEARTH_VM_DATA` names a data folder with an image.

mod vm_place;

use std::fs;

use vm_place::Place;

/// The root file system of a virtual machine is an overlay, over which none is laid again: data lie in memory.
/// Its `/proc` is covered in a place, so an ordinary user needs a whole one in sight.
const WORKFLOW: &str = r#"
on: push
jobs:
  host:
    runs-on: ubuntu-latest
    steps:
    - uses: actions/checkout@v4
    - run: |
        install -m 755 hearth /usr/local/bin/hearth
        useradd --create-home tester
        mount -t tmpfs -o mode=1777 none /srv
        mount -t proc proc /mnt
        doctor() { echo "== $1"; shift; "$@" env HEARTH_DATA="/srv/$RANDOM" hearth doctor 2>&1 | sed '/^qemu/,$d'; }
        doctor root
        doctor user runuser -u tester --
        delegated=/sys/fs/cgroup/delegated
        mkdir -p $delegated/session
        echo '+memory +pids +cpu' >$delegated/cgroup.subtree_control
        chown -R tester $delegated
        (echo $BASHPID >$delegated/session/cgroup.procs; doctor delegated runuser -u tester --)
        sysctl -q -w kernel.unprivileged_userns_clone=0
        doctor unprivileged-off runuser -u tester --
        sysctl -q -w user.max_user_namespaces=0
        doctor all-off
        echo "== end"
"#;

/// What `doctor` said under a heading.
fn section<'a>(said: &'a str, heading: &str) -> &'a str {
    let (_, after) = said.split_once(&format!("== {heading}\n")).unwrap_or_else(|| panic!("{said}"));
    after.split_once("== ").map_or(after, |(section, _)| section)
}

#[test]
fn sandboxes_have_their_bounds_by_control_groups_v2_and_say_which_setting_forbids_them() {
    let Some(place) = Place::new(WORKFLOW) else { return };
    fs::copy(env!("CARGO_BIN_EXE_hearth"), place.path("repository/hearth")).unwrap();
    let (code, said) =
        place.hearth(&["run", "--machine", "qemu", "--memory", "1024", "--cold-boot", "--verbose"]);
    assert_eq!(code, Some(0), "{said}");
    for who in ["root", "delegated"] {
        let found = section(&said, who);
        assert!(found.contains("sandbox: works"), "{who}: {found}");
        assert!(!found.contains("not enforced") && !found.contains("no overlay"), "{who}: {found}");
    }
    let user = section(&said, "user");
    assert!(user.contains("sandbox: works") && user.contains("bound of memory not enforced"), "{user}");
    for (who, setting) in
        [("unprivileged-off", "kernel.unprivileged_userns_clone"), ("all-off", "user.max_user_namespaces")]
    {
        let found = section(&said, who);
        assert!(found.contains("sandbox: does not work here"), "{who}: {found}");
        assert!(found.contains(&format!("{setting} is 0 here")), "{who}: {found}");
        assert!(found.contains(&format!("sudo sysctl -w {setting}=")), "{who}: {found}");
    }
}
