//! Labels and the machines that they mean.

use model::JobId;
use scheduler::queue::{Capacity, Limits, Profile, Profiles, QueuedJob, Size};
use workflow::plan::RunsOn;

use crate::build::{Server, labels, runs_on, ubuntu};

fn profiles() -> Profiles {
    let large = Profile {
        name: "large".into(),
        group: Some("builders".into()),
        labels: labels(&["self-hosted", "large", "gpu"]),
        size: Size { vcpus: 16, memory_mib: 65_536 },
        largest: None,
        capacity: Capacity { vcpus: Some(32), ..Capacity::default() },
    };
    Profiles::new(vec![ubuntu(), large])
}

fn place(labels: &[&str]) -> Result<(String, u32, u64), String> {
    let placement = profiles().place(&runs_on(labels)).map_err(|problem| problem.to_string())?;
    Ok((placement.profile, placement.size.vcpus, placement.size.memory_mib))
}

#[test]
fn the_first_profile_that_has_all_labels_is_meant() {
    assert_eq!(place(&["Ubuntu-Latest"]), Ok(("ubuntu-latest".into(), 2, 4096)));
    assert_eq!(place(&["self-hosted"]), Ok(("ubuntu-latest".into(), 2, 4096)));
    assert_eq!(place(&["self-hosted", "gpu"]), Ok(("large".into(), 16, 65_536)));
}

#[test]
fn a_label_may_say_the_size_of_the_machine() {
    for prefix in ["firecracker", "microvm", "firerunner", "actuated"] {
        let label = format!("{prefix}-4cpu-8gb");
        assert_eq!(place(&[&label]), Ok(("ubuntu-latest".into(), 4, 8192)));
        assert_eq!(place(&["large", &label]), Ok(("large".into(), 4, 8192)));
    }
}

#[test]
fn a_label_that_is_no_size_says_how_one_is_written() {
    for label in [
        "firecracker-0cpu-8gb",
        "microvm-4cpu",
        "actuated-4cpu-8mb",
        "firecracker-99999999999999999999cpu-1gb",
        "firerunner-+4cpu-8gb",
    ] {
        let problem = place(&[label]).unwrap_err();
        assert!(problem.contains(label) && problem.contains("`firecracker-4cpu-8gb`"), "{problem}");
    }
    let problem = place(&["microvm-1cpu-1gb", "microvm-2cpu-2gb"]).unwrap_err();
    assert!(problem.contains("both say how large"), "{problem}");
}

#[test]
fn labels_that_nothing_has_are_named_with_those_that_there_are() {
    let problem = place(&["ubuntu-latest", "windows-latest"]).unwrap_err();
    assert!(
        problem.contains("label `windows-latest`; there are `self-hosted`, `ubuntu-latest`, `large`, `gpu`"),
        "{problem}"
    );
    let problem = place(&["ubuntu-latest", "gpu"]).unwrap_err();
    assert!(problem.contains("ubuntu-latest with `self-hosted`, `ubuntu-latest`; large with"), "{problem}");
}

#[test]
fn a_group_leaves_its_own_profiles_only() {
    let place = |group: &str| {
        profiles().place(&RunsOn { group: Some(group.to_owned()), labels: labels(&["self-hosted"]) })
    };
    assert_eq!(place("Builders").unwrap().profile, "large");
    assert_eq!(place("organization/builders").unwrap().profile, "large");
    assert!(place("none").unwrap_err().to_string().contains("group `none`; there are `builders`"));
}

#[test]
fn a_machine_that_never_fits_is_refused_instead_of_waiting_for_ever() {
    let problem = place(&["gpu", "firecracker-64cpu-8gb"]).unwrap_err();
    assert!(
        problem.contains("64 vCPU and 8192 MiB never fits: profile `large` has room for 32 vCPU"),
        "{problem}"
    );
}

#[test]
fn a_label_that_asks_for_more_than_the_host_has_is_refused_and_one_for_all_of_it_is_not() {
    let host = Size { vcpus: 4, memory_mib: 8192 };
    let profiles = Profiles::new(vec![Profile { largest: Some(host), ..ubuntu() }]);
    let place = |label: &str| profiles.place(&runs_on(&["ubuntu-latest", label]));
    assert_eq!(place("firecracker-4cpu-8gb").unwrap().size, host);
    for (label, asked) in
        [("firecracker-900cpu-8gb", "900 vCPU and 8192 MiB"), ("microvm-1cpu-9gb", "1 vCPU and 9216 MiB")]
    {
        let problem = place(label).unwrap_err().to_string();
        let expected = format!("a machine of {asked} never fits: the host has room for 4 vCPU and 8192 MiB");
        assert!(problem.starts_with(&expected), "{problem}");
    }
}

#[test]
fn a_job_that_no_machine_suits_is_refused_and_one_of_a_new_profile_starts() {
    let mut server = Server::plain();
    server.queue.job_queued(QueuedJob { runs_on: runs_on(&["macos"]), ..server.job(1) });
    let told = server.go();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("refuse job 1: no machine has the label `macos`"), "{told:?}");
    server.queue.job_queued(QueuedJob { runs_on: runs_on(&["macos"]), ..server.job(2) });
    let mac = Profile { name: "mac".into(), labels: labels(&["macos"]), ..Profile::default() };
    server.queue.profiles_changed(Profiles::new(vec![ubuntu(), mac]));
    assert_eq!(server.go(), ["job 2 on mac"]);
}

#[test]
fn a_profile_that_goes_takes_its_waiting_jobs_along_and_no_running_one() {
    let mut server = Server::new(Limits { jobs: Some(1), ..Limits::default() }, vec![ubuntu()]);
    server.queue.job_queued(server.job(1));
    server.queue.job_queued(server.job(2));
    server.go();
    server.queue.profiles_changed(Profiles::new(vec![]));
    assert!(
        server.go()[0].starts_with("refuse job 2: no machine has the label `ubuntu-latest`; there are none")
    );
    assert_eq!(server.queue.running_jobs(), 1);
    server.queue.profiles_changed(Profiles::new(vec![ubuntu()]));
    server.queue.job_queued(server.job(3));
    assert_eq!(server.end(JobId(1)), ["job 3 on ubuntu-latest"]);
}
