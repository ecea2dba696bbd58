//! Every scenario on the sandbox and on the host. A folder of `scenarios/` that is not listed is a failure.

use std::collections::BTreeSet;

use hearth_e2e::scenario::{Machine, Scenario};

/// One test for each scenario and kind of machine.
macro_rules! tests {
    ($($name:ident $($vm:ident)?),* $(,)?) => {
        /// The names of all.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod sandbox {
            $(#[test] fn $name() { hearth_e2e::check(stringify!($name), super::Machine::Sandbox); })*
        }

        mod host {
            $(#[test] fn $name() { hearth_e2e::check(stringify!($name), super::Machine::Host); })*
        }
    };
}

hearth_e2e::for_all_scenarios!(tests);

#[test]
fn every_folder_is_a_listed_scenario_and_says_what_it_shows() {
    let entries = std::fs::read_dir(hearth_e2e::scenarios()).expect("the folder of scenarios can be read");
    let folders = entries.map(|entry| entry.expect("an entry can be read").file_name());
    let folders: BTreeSet<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(folders, listed);
    for name in NAMES {
        let scenario =
            Scenario::read(&hearth_e2e::scenarios().join(name)).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.about.is_empty() && !scenario.runs.is_empty(), "{name}");
    }
}
