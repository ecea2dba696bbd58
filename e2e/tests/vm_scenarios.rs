//! Every scenario on virtual machines: some in CI, all by `cargo xtask test --only vm-scenarios`.
//!
//! `HEARTH_VM_DATA` names a data folder with an image called `default`; elsewhere these tests say
//! that they were skipped.

use hearth_e2e::scenario::Machine;

/// One test for each scenario; those that CI has no time for are ignored there.
macro_rules! tests {
    ($($name:ident $($vm:ident)?),* $(,)?) => { mod qemu { $(test!($name $($vm)?);)* } };
}

macro_rules! test {
    ($name:ident vm) => {
        #[test]
        fn $name() {
            hearth_e2e::check(stringify!($name), super::Machine::Qemu);
        }
    };
    ($name:ident) => {
        #[test]
        #[ignore = "all of them take long: cargo xtask test --only vm-scenarios"]
        fn $name() {
            hearth_e2e::check(stringify!($name), super::Machine::Qemu);
        }
    };
}

hearth_e2e::for_all_scenarios!(tests);
