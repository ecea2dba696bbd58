//! What a job can change, and that nothing of it is left.

use std::fs;
use std::path::Path;

use machine::sandbox::Without;
use machine::{Driver, MachineSpec};

use crate::house::{Caller, House, for_each_caller, run, spec};

for_each_caller! {
    async fn nothing_that_a_job_writes_is_on_the_host_afterwards(house: &House) {
        let machine = house.start().await;
        let places = ["/usr/hearth-test", "/usr/bin/hearth-test", "/usr/local/hearth-test", "/etc/hearth-test", "/opt/hearth-test",
            "/tmp/hearth-test", "/var/tmp/hearth-test", "/home/hearth-test", "/root/hearth-test", "/hearth-test", "/dev/shm/hearth-test",
            "/var/log/hearth-test", "/run/hearth-test"];
        for place in places {
            let ran = run(&machine, &format!("echo x > {place} && cat {place}")).await;
            assert_eq!(ran.output, "x\n", "{place}");
            assert!(!Path::new(place).exists(), "{place} is on the host");
        }
        machine.destroy().await.expect("destroyed");
        assert!(places.iter().all(|place| !Path::new(place).exists()));
        assert_eq!(house.remains(), Vec::<String>::new());
    }

    async fn folders_that_are_shut_or_deep_are_removed_too(house: &House) {
        let machine = house.start().await;
        let script = "mkdir -p a/b/c && touch a/b/c/f && chmod 000 a/b/c a/b a && mkdir -m 000 /tmp/shut && \
                      i=0; while [ $i -lt 1500 ]; do mkdir deeper-and-deeper && cd deeper-and-deeper; i=$((i+1)); done";
        assert!(run(&machine, script).await.ok());
        machine.destroy().await.expect("destroyed");
        assert_eq!(house.remains(), Vec::<String>::new());
    }

    async fn the_kernels_settings_cannot_be_written(house: &House) {
        let machine = house.start().await;
        for file in ["kernel/hostname", "kernel/core_pattern", "kernel/modprobe", "vm/drop_caches", "net/ipv4/ip_forward", "fs/file-max"] {
            let ran = run(&machine, &format!("test -e /proc/sys/{file} || exit 1; echo 1 > /proc/sys/{file}")).await;
            assert!(!ran.ok(), "/proc/sys/{file}");
        }
        assert!(!run(&machine, "echo h > /proc/sysrq-trigger && test -s /proc/sysrq-trigger").await.ok());
    }

    async fn no_program_gains_privileges(house: &House) {
        let machine = house.start().await;
        let status = run(&machine, "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status").await.output;
        assert_eq!(status, "NoNewPrivs:\t1\nSeccomp:\t2\n");
        let mounts = run(&machine, "cut -d' ' -f5,6 /proc/self/mountinfo").await.output;
        for mount in mounts.lines() {
            assert!(mount.contains("nosuid"), "{mount}");
        }
        let capabilities = run(&machine, "grep CapBnd /proc/self/status").await.output;
        let bits = u64::from_str_radix(capabilities.trim_start_matches("CapBnd:").trim(), 16).expect("a number");
        // CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_MKNOD.
        for bit in [21, 19, 12, 16, 27] {
            assert_eq!(bits & (1 << bit), 0, "capability {bit}");
        }
        if house.caller == Caller::Root {
            let ran = run(&machine, "cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id && setpriv --reuid=1000 --clear-groups /tmp/id -u").await;
            assert_eq!(ran.output, "1000\n", "a setuid program made its caller root");
        }
    }

    async fn sudo_runs_commands_as_the_root_that_the_job_is(house: &House) {
        let machine = house.start().await;
        let ran = run(&machine, "sudo id -u; sudo -E -H -n -u root FOO=bar sh -c 'echo $FOO'; sudo -- echo -n; sudo sh -c 'exit 7'").await;
        assert_eq!(ran.output, "0\nbar\n");
        assert_eq!(ran.status, guest::client::ExitStatus::Code(7));
    }

    async fn sudo_understands_the_options_that_workflows_use(house: &House) {
        let machine = house.start().await;
        let script = "sudo -iu root pwd; sudo -nEH sh -c 'echo combined'; sudo --preserve-env=PATH -S printf 'long\\n'; sudo -k; sudo -v && echo valid; \
                      cd /tmp; sudo -s 'echo' 'two words'; sudo -D /usr pwd; X=1 sudo -E Y=2 sh -c 'echo $X$Y'; echo in | sudo tee /etc/hearth-sudo; sudo -uroot id -un";
        let ran = run(&machine, script).await;
        assert_eq!(ran.output, "/home/runner\ncombined\nlong\nvalid\ntwo words\n/usr\n12\nin\nroot\n");
        let unknown = run(&machine, "sudo -u nobody-has-this-name true").await;
        assert!(!unknown.ok() && unknown.output.contains("unknown user"), "{}", unknown.output);
    }

    async fn archives_whose_files_belonged_to_others_are_unpacked(house: &House) {
        let machine = house.start().await;
        let script = "echo text > file && tar --owner=somebody:3000000 --group=somebody:3000000 -cf a.tar file && rm file && tar -xf a.tar && cat file";
        let ran = run(&machine, script).await;
        assert_eq!((ran.ok(), ran.output.as_str()), (true, "text\n"));
        let given = run(&machine, "touch f && chown -R runner:runner f && chown $(id -u):$(id -g) f && chown 3000000 f && stat -c %U f").await;
        assert_eq!(given.output, "root\n");
    }

    async fn the_jobs_folders_are_its_own(house: &House) {
        let machine = house.start().await;
        for folder in [&machine.layout.home, &machine.layout.work, &machine.layout.temp, &machine.layout.tool_cache] {
            let ran = run(&machine, &format!("touch {folder}/mine && stat -c %U:%G {folder}")).await;
            assert_eq!(ran.output, "root:root\n", "{folder}");
        }
        assert!(run(&machine, "git init -q repo && cd repo && git status").await.ok());
    }

    async fn a_bound_disk_fills_up_at_its_bound(house: &House) {
        let machine = house.start_as(MachineSpec { disk_mib: Some(16), ..spec() }).await;
        assert_eq!(machine.notes.iter().filter(|note| note.contains("disk")).count(), 0, "{:?}", machine.notes);
        assert!(run(&machine, "head -c 8M /dev/zero > fits").await.ok());
        let full = run(&machine, "head -c 32M /dev/zero > bursts").await;
        assert!(!full.ok() && full.output.contains("No space left"), "{}", full.output);
    }
}

#[tokio::test]
async fn a_job_of_root_can_be_other_users_and_give_files_away() {
    let Some(house) = House::of(Caller::Root) else { return };
    let machine = house.start().await;
    let ran = run(
        &machine,
        "touch f && chown nobody f && stat -c %U f && sudo -u nobody id -un && stat -c %U /usr/bin/env && \
         sudo -u runner sh -c 'echo $HOME $USER $(id -u)'; sudo -u '#1234' id -u",
    )
    .await;
    assert_eq!(ran.output, "nobody\nnobody\nroot\n/home/runner runner 1001\n1234\n");
    // Packages that bring a service bring its user.
    let ran = run(&machine, "command -v useradd >/dev/null || exit 0; useradd newcomer && id newcomer").await;
    assert!(ran.ok(), "{}", ran.output);
}

#[tokio::test]
async fn a_machine_with_one_user_says_so_to_who_wants_to_be_another() {
    let Some(house) = House::of(Caller::Ordinary) else { return };
    let machine = house.start().await;
    let ran = run(&machine, "sudo -u nobody true").await;
    assert!(!ran.ok() && ran.output.contains("run Hearth as root"), "{}", ran.output);
}

#[tokio::test]
async fn a_job_of_root_can_move_and_link_files_between_the_hosts_folders() {
    let Some(house) = House::of(Caller::Root) else { return };
    let machine = house.start().await;
    let on_root = |folder: &str| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(folder).map(|found| found.dev()).ok() == fs::metadata("/").map(|found| found.dev()).ok()
    };
    if ["/usr", "/etc", "/opt", "/var/lib/dpkg"].iter().all(|folder| on_root(folder)) {
        let script = "echo x > /usr/bin/x && ln /usr/bin/x /opt/y && ln /opt/y /var/lib/dpkg/z && ln /var/lib/dpkg/z /srv/w && cat /srv/w";
        assert_eq!(run(&machine, script).await.output, "x\n", "{:?}", machine.notes);
    }
}

#[tokio::test]
async fn a_job_of_root_can_open_the_locks_of_package_databases() {
    let Some(house) = House::of(Caller::Root) else { return };
    opens_locks(&house).await;
}

#[tokio::test]
async fn where_the_kernel_follows_no_pointers_each_folder_has_an_overlay() {
    let Some(house) = House::with(Caller::Root, Without { pointers: true, ..Without::default() }) else {
        return;
    };
    opens_locks(&house).await;
    let machine = house.start().await;
    assert_eq!(
        machine.notes.iter().filter(|note| note.contains("overlay")).count(),
        0,
        "{:?}",
        machine.notes
    );
    let written = "cat /etc/shadow; for folder in /usr /etc /opt; do echo x > $folder/new && cat $folder/new; done; touch $RUNNER";
    let script = written.replace("$RUNNER", &format!("{}/tool", machine.layout.tool_cache));
    let ran = run(&machine, &script).await;
    assert!(ran.ok(), "{}", ran.output);
    assert_eq!(ran.output, "root:*:::::::\nx\nx\nx\n");
}

async fn opens_locks(house: &House) {
    let machine = house.start().await;
    let script = "for lock in /var/lib/dpkg/lock*; do test ! -e $lock || echo >> $lock || exit 1; done; ls -A /var/lib/dpkg | wc -l";
    let ran = run(&machine, script).await;
    let entries = fs::read_dir("/var/lib/dpkg").map_or(0, Iterator::count);
    assert_eq!(ran.output, format!("{entries}\n"));
}

#[tokio::test]
async fn without_overlays_the_host_is_read_only_and_it_says_so() {
    for caller in [Caller::Root, Caller::Ordinary] {
        let Some(house) = House::with(caller, Without { overlay: true, ..Without::default() }) else {
            continue;
        };
        let machine = house.start().await;
        assert!(
            machine.notes.iter().any(|note| note.starts_with("no overlay")),
            "{caller:?}: {:?}",
            machine.notes
        );
        for place in ["/usr/x", "/etc/x", "/usr/local/bin/x"] {
            assert!(
                !run(&machine, &format!("touch {place}")).await.ok(),
                "{caller:?}: {place} can be written"
            );
        }
        let secrets = run(
            &machine,
            "cat /etc/shadow; cat /etc/sudoers 2>/dev/null; ls -A /etc/ssl/private 2>/dev/null",
        )
        .await;
        assert_eq!(secrets.output, "root:*:::::::\n", "{caller:?}");
        for folder in [
            &machine.layout.home,
            &machine.layout.work,
            &machine.layout.temp,
            &machine.layout.tool_cache,
            &"/tmp".to_owned(),
        ] {
            assert!(
                run(&machine, &format!("touch {folder}/mine")).await.ok(),
                "{caller:?}: {folder} can't be written"
            );
        }
        assert!(run(&machine, "git --version && sh -c 'exit 0'").await.ok());
        machine.destroy().await.expect("destroyed");
        assert_eq!(house.remains(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_machine_whose_name_runs_already_is_refused() {
    let Some(house) = House::of(Caller::Ordinary) else { return };
    let first = spec();
    let second = first.clone();
    let machine = house.start_as(first).await;
    let error = house.driver.start(second).await.err().expect("refused");
    assert!(error.to_string().contains("runs already"), "{error}");
    assert!(run(&machine, "true").await.ok(), "the refusal harmed the first");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_a_plain_error() {
    let Some(house) = House::of(Caller::Ordinary) else { return };
    fs::write(house.data().join("machines"), "in the way").expect("written");
    let error = house.driver.start(spec()).await.err().expect("refused");
    assert!(error.to_string().contains("taking a place in"), "{error}");
}

#[tokio::test]
async fn a_data_folder_with_any_name_works() {
    for name in ["with space", "comma,colon:and=\\", "Ünïcode-名"] {
        for caller in [Caller::Root, Caller::Ordinary] {
            let Some(house) = House::named(caller, Without::default(), name) else { continue };
            let machine = house.start().await;
            assert_eq!(
                run(&machine, "echo written > /usr/bin/x && cat /usr/bin/x").await.output,
                "written\n",
                "{name}"
            );
            machine.destroy().await.expect("destroyed");
            assert_eq!(house.remains(), Vec::<String>::new());
        }
    }
}
