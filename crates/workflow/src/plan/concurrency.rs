//! Runs that begin together share the groups of their workflows.

use crate::concurrency::{Entry, Groups, displaced_by_newer, too_many_wait};

use super::RunPlan;

/// Lets runs begin together, as those do that one event starts: they ask for the groups of their
/// workflows in this order. Who holds a group that a later one claims with `cancel-in-progress` is
/// cancelled as it begins; who waits and is displaced starts no job. The others may run, those of
/// one group one after the other.
pub fn begin_together(plans: &mut [&mut RunPlan]) {
    let mut groups = Groups::default();
    for place in 0..plans.len() {
        let Some(wish) = plans[place].run_group.clone() else { continue };
        match groups.enter(place, &wish) {
            Entry::Holds => {}
            Entry::Full => plans[place].give_up(too_many_wait(&wish.group)),
            Entry::Waits { displaced, cancel } => {
                for other in displaced {
                    plans[other].give_up(displaced_by_newer(&wish.group));
                }
                if let Some(holder) = cancel {
                    plans[holder].cancel_because(displaced_by_newer(&wish.group));
                }
            }
        }
    }
}
