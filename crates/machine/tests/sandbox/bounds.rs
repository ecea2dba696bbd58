//! Bounds, where this host permits them.

use guest::client::ExitStatus;
use machine::MachineSpec;

use crate::house::{House, for_each_caller, run, spec};

for_each_caller! {
    async fn a_fork_bomb_ends_at_its_bound_and_the_machine_lives(house: &House) {
        let machine = house.start_as(MachineSpec { processes: Some(48), ..spec() }).await;
        let bomb = run(&machine, "i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i+1)); done").await;
        assert!(bomb.output.contains("fork"), "nothing stopped it: {:?} {}", bomb.status, bomb.output);
        let count = run(&machine, "set -- /proc/[0-9]*; echo $#").await;
        // When even this does not start, the bound is reached for sure.
        if count.ok() {
            assert!(count.output.trim().parse::<u32>().expect("a number") <= 49, "{}", count.output);
        }
        machine.destroy().await.expect("destroyed");
    }

    async fn memory_ends_at_its_bound_or_the_machine_says_that_it_does_not(house: &House) {
        let machine = house.start_as(MachineSpec { memory_mib: Some(64), ..spec() }).await;
        let noted = machine.notes.iter().any(|note| note.contains("memory"));
        let greedy = run(&machine, "head -c 256M /dev/zero | tail -c 256M | wc -c").await;
        let ended = !greedy.ok() || greedy.output.trim() != (256 * 1024 * 1024).to_string();
        assert!(ended || noted, "256 MiB in a machine of 64 MiB: {greedy:?}, {:?}", machine.notes);
        assert!(run(&machine, "true").await.status == ExitStatus::Code(0));
    }
}

#[tokio::test]
async fn lower_limits_of_the_caller_are_kept() {
    use nix::sys::resource::{Resource, setrlimit};
    let Some(house) = House::of(crate::house::Caller::Ordinary) else { return };
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("lowered");
    setrlimit(Resource::RLIMIT_NPROC, 900, 900).expect("lowered");
    let machine = house.start().await;
    assert_eq!(run(&machine, "bash -c 'ulimit -c; ulimit -u'").await.output, "0\n900\n");
}
