//! Machines on hosts that are laid out in other ways than the one that the tests run on.

use machine::sandbox::Without;
use machine::{Driver, MachineSpec, Network};

use crate::house::{Caller, House, run, spec};

const CALLERS: [Caller; 2] = [Caller::Root, Caller::Ordinary];

/// A host with file systems of its own below `/usr` and `/opt`, one within another, and a file mounted over
/// another file.
const MOUNTS: &str = r#"
    mount -t tmpfs none /usr/local
    mkdir /usr/local/bin
    printf '#!/bin/sh\necho from the mount\n' > /usr/local/bin/hearth-test-tool
    chmod 755 /usr/local/bin/hearth-test-tool
    mount -t tmpfs none /opt
    mkdir '/opt/a b'
    mount -t tmpfs none '/opt/a b'
    echo open > '/opt/a b/file'
    echo shut > '/opt/a b/private'
    chmod 600 '/opt/a b/private'
    echo bound > "$1/file"
    mount --bind "$1/file" /usr/lib/os-release"#;

#[tokio::test]
async fn what_the_host_has_mounted_below_usr_and_opt_is_there() {
    for caller in CALLERS {
        let Some(house) = House::on(caller, Without::default(), MOUNTS) else { return };
        let machine = house.start().await;
        let ran = run(&machine, "hearth-test-tool; cat '/opt/a b/file' /usr/lib/os-release").await;
        assert_eq!(ran.output, "from the mount\nopen\nbound\n", "{caller:?}: {:?}", machine.notes);
        let private = run(&machine, "cat '/opt/a b/private' 2>/dev/null").await;
        assert_eq!(private.output, "", "{caller:?}: what is not for everyone can be read");
        assert!(
            machine.notes.iter().all(|note| !note.contains("overlay")),
            "{caller:?}: {:?}",
            machine.notes
        );
        let written =
            "echo new > /usr/local/bin/new && echo new > /usr/bin/new && cat /usr/local/bin/new /usr/bin/new";
        assert_eq!(run(&machine, written).await.output, "new\nnew\n", "{caller:?}");
        assert!(run(&machine, "git --version && getent passwd root && sudo true").await.ok(), "{caller:?}");
        machine.destroy().await.expect("destroyed");
        assert_eq!(house.remains(), Vec::<String>::new());
    }
}

/// A host with a secret on a file system of its own, and one that is mounted over another file.
const SECRETS: &str = r#"
    cp -a /etc "$1/etc"
    mount --bind "$1/etc" /etc
    mkdir -p /etc/docker
    mount -t tmpfs none /etc/docker
    echo secret > /etc/docker/config.json
    echo bound > "$1/file"
    mount --bind "$1/file" /etc/debian_version"#;

#[tokio::test]
async fn secrets_of_a_folder_that_is_shown_piece_by_piece_stay_out() {
    for caller in CALLERS {
        let Some(house) = House::on(caller, Without::default(), SECRETS) else { return };
        let machine = house.start().await;
        assert_eq!(run(&machine, "cat /etc/debian_version").await.output, "bound\n", "{caller:?}");
        let secrets =
            run(&machine, "cat /etc/shadow; cat /etc/docker/config.json /etc/sudoers 2>/dev/null").await;
        assert_eq!(secrets.output, "root:*:::::::\n", "{caller:?}");
        let own = run(
            &machine,
            "head -n 1 /etc/passwd | cut -d: -f6; echo more >> /etc/passwd; tail -n 1 /etc/passwd",
        )
        .await;
        assert_eq!(own.output, "/home/runner\nmore\n", "{caller:?}");
    }
}

/// A host with systemd's resolver: the file is a link into `/run`.
const RESOLVER: &str = r#"
    cp -a /etc "$1/etc"
    ln -sfn ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"
    mount --bind "$1/etc" /etc
    mount -t tmpfs none /run
    mkdir -p /run/systemd/resolve
    echo 'nameserver 127.0.0.53' > /run/systemd/resolve/stub-resolv.conf"#;

#[tokio::test]
async fn the_resolver_of_the_host_is_there_although_its_file_is_a_link() {
    for caller in CALLERS {
        for overlay in [true, false] {
            let without = Without { overlay: !overlay, ..Without::default() };
            let Some(house) = House::on(caller, without, RESOLVER) else { return };
            let machine = house.start_as(MachineSpec { network: Network::Host, ..spec() }).await;
            let ran = run(&machine, "cat /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf").await;
            assert_eq!(
                ran.output, "nameserver 127.0.0.53\nnameserver 127.0.0.53\n",
                "{caller:?}, overlay: {overlay}"
            );
        }
    }
}

#[tokio::test]
async fn without_overlays_what_is_mounted_is_there_too() {
    for caller in CALLERS {
        let without = Without { overlay: true, ..Without::default() };
        let Some(house) = House::on(caller, without, MOUNTS) else { return };
        let machine = house.start().await;
        let ran = run(&machine, "hearth-test-tool; cat '/opt/a b/file' /usr/lib/os-release").await;
        assert_eq!(ran.output, "from the mount\nopen\nbound\n", "{caller:?}: {:?}", machine.notes);
    }
}

/// A host whose `/opt` and `/usr/local` are links to folders of `/var`, as where `/usr` can't be written.
const LINKS: &str = r#"
    mount -t tmpfs none "$1"
    cd "$1"
    mkdir -p old proc sys dev run tmp etc usr var/opt/product var/usrlocal/bin home data
    echo here > var/opt/product/file
    printf '#!/bin/sh\necho linked\n' > var/usrlocal/bin/hearth-test-tool
    chmod 755 var/usrlocal/bin/hearth-test-tool
    for folder in proc sys dev etc tmp; do mount --rbind /$folder $folder; done
    for folder in bin sbin lib lib32 lib64; do
        if [ -L /$folder ]; then cp -a /$folder $folder; elif [ -e /$folder ]; then mkdir $folder && mount --bind /$folder $folder; fi
    done
    mkdir .usr && mount --bind /usr .usr
    for folder in /usr/*; do
        name=${folder##*/}
        if [ $name = local ]; then ln -s ../var/usrlocal usr/local
        elif [ -L $folder ]; then cp -a $folder usr/$name
        else mkdir usr/$name && mount --bind $folder usr/$name; fi
    done
    ln -s var/opt opt
    pivot_root . old
    cd /"#;

#[tokio::test]
async fn folders_that_are_links_elsewhere_are_shown_where_they_lead() {
    for caller in CALLERS {
        let Some(house) = House::on(caller, Without::default(), LINKS) else { return };
        let machine = house.start().await;
        let ran =
            run(&machine, "cat /opt/product/file; hearth-test-tool; touch /opt/new && echo written").await;
        assert_eq!(ran.output, "here\nlinked\nwritten\n", "{caller:?}: {:?}", machine.notes);
        let cache = run(&machine, &format!("touch {}/tool", machine.layout.tool_cache)).await;
        assert!(cache.ok(), "{caller:?}: {}", cache.output);
    }
}

/// A host that is a container: parts of its `/proc` are covered.
const COVERED: &str = "mount --bind /dev/null /proc/timer_list; mount -t tmpfs none /proc/acpi || true";

#[tokio::test]
async fn root_needs_no_whole_proc_and_an_ordinary_user_is_told() {
    let Some(house) = House::on(Caller::Root, Without::default(), COVERED) else { return };
    let machine = house.start().await;
    let ran = run(&machine, "cat /proc/1/comm; grep ' - proc ' /proc/self/mountinfo | cut -d' ' -f5").await;
    let (first, mounts) = ran.output.split_once('\n').expect("lines");
    assert_eq!(first, "hearth-agent");
    assert!(mounts.lines().all(|mount| mount.starts_with("/proc")), "the host's is in sight: {mounts}");
    let Some(house) = House::on(Caller::Ordinary, Without::default(), COVERED) else { return };
    let error = house.driver.start(spec()).await.err().expect("refused");
    assert!(error.to_string().contains("/proc are covered"), "{error}");
    assert_eq!(house.remains(), Vec::<String>::new());
}

#[tokio::test]
async fn who_may_make_no_namespaces_is_told_the_setting_and_the_command() {
    // The keeper's own user namespace has the setting, and nobody else has.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces";
    let Some(house) = House::in_user_namespace(script) else { return };
    let error = house.driver.start(spec()).await.err().expect("refused").to_string();
    assert!(error.contains("user.max_user_namespaces is 0"), "{error}");
    assert!(error.contains("sysctl -w user.max_user_namespaces="), "{error}");
    assert_eq!(house.remains(), Vec::<String>::new());
}

#[tokio::test]
async fn a_data_folder_from_which_nothing_can_be_run_is_noted() {
    let script = "mount -t tmpfs -o noexec,mode=777 none \"$1/../data\"";
    for caller in CALLERS {
        let Some(house) = House::on(caller, Without::default(), script) else { return };
        let machine = house.start().await;
        assert!(machine.notes.iter().any(|note| note.contains("mounted noexec")), "{:?}", machine.notes);
        let ran = run(&machine, "cp /bin/true program && ./program").await;
        assert!(!ran.ok() && ran.output.contains("Permission denied"), "{}", ran.output);
        machine.destroy().await.expect("destroyed");
    }
}

/// A host whose root file system is an overlay, as in a container: it takes no id maps.
const OVERLAY: &str = r#"
    mount -t tmpfs none "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
    cd "$1/root"
    mkdir old
    for folder in proc sys dev tmp; do mount --rbind /$folder $folder; done
    pivot_root . old
    cd /"#;

#[tokio::test]
async fn on_a_root_without_id_maps_the_folders_are_there_and_it_says_whose_they_are() {
    let Some(house) = House::on(Caller::Root, Without::default(), OVERLAY) else { return };
    let machine = house.start().await;
    assert!(machine.notes.iter().any(|note| note.starts_with("no id-mapped mounts")), "{:?}", machine.notes);
    let ran = run(&machine, "echo new > /usr/bin/new && cat /usr/bin/new && stat -c %U /usr/bin/env").await;
    assert_eq!(ran.output, "new\nnobody\n", "{:?}", machine.notes);
    machine.destroy().await.expect("destroyed");
    assert_eq!(house.remains(), Vec::<String>::new());
}
