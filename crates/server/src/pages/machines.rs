//! `/machines`: kinds of machines, those kept ready, and those that work.

use machine::pool::KindStatus;
use maud::{Markup, html};
use model::Timestamp;
use scheduler::queue::{Capacity, Profile};
use store::record::Job;

use super::badge;
use super::format;
use super::layout::nothing;

/// The page.
pub(super) fn render(profiles: &[Profile], pool: &[KindStatus], busy: &[Job], now: Timestamp) -> Markup {
    html! {
        div.head { h1 { "Machines" } }
        div id="machines" data-swap {
            (kinds(profiles))
            (ready(pool))
            (working(busy, now))
        }
    }
}

fn kinds(profiles: &[Profile]) -> Markup {
    html! {
        h2 { "Profiles" }
        @if profiles.is_empty() {
            (nothing("No profile is configured.", &html! { "Jobs are refused until the configuration has one." }))
        } @else {
            div.wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "Name" } th scope="col" { "Labels" } th scope="col" { "Size" }
                            th scope="col" { "At once" }
                        }
                    }
                    tbody { @for profile in profiles { (kind(profile)) } }
                }
            }
        }
    }
}

fn kind(profile: &Profile) -> Markup {
    html! {
        tr data-item data-profile=(profile.name) {
            th scope="row" { (profile.name) @if let Some(group) = &profile.group { " " span.dim { "group " (group) } } }
            td { @for label in &profile.labels { span.label { (label) } " " } }
            td { (profile.size) }
            td { (at_once(profile.capacity)) }
        }
    }
}

/// `4 machines, 8 vCPU, 16 GiB`.
fn at_once(capacity: Capacity) -> String {
    let parts: Vec<String> = [
        capacity.machines.map(|machines| format!("{machines} machines")),
        capacity.vcpus.map(|vcpus| format!("{vcpus} vCPU")),
        capacity.memory_mib.map(|memory_mib| format::size(memory_mib.saturating_mul(1024 * 1024))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "no bound of its own".to_owned() } else { parts.join(", ") }
}

fn ready(pool: &[KindStatus]) -> Markup {
    html! {
        @if !pool.is_empty() {
            h2 { "Kept ready" }
            div.wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "Profile" } th scope="col" { "Ready" } th scope="col" { "Starting" }
                            th scope="col" { "Wanted" } th scope="col" { "Leased" } th scope="col" { "Found none ready" }
                            th scope="col" { "Failed" }
                        }
                    }
                    tbody { @for status in pool { (shelf(status)) } }
                }
            }
        }
    }
}

fn shelf(status: &KindStatus) -> Markup {
    let failed = status.failures.saturating_add(status.deaths);
    html! {
        tr data-pool=(status.name) {
            th scope="row" { (status.name) @if let Some(image) = &status.image { " " span.dim { (image) } } }
            td { (status.ready) } td { (status.starting) } td { (status.wanted) }
            td { (format::count(status.leases)) } td { (format::count(status.misses)) }
            td { (format::count(failed)) @if let Some(why) = &status.last_failure { " " span.reason { (why) } } }
        }
    }
}

fn working(busy: &[Job], now: Timestamp) -> Markup {
    html! {
        h2 { "At work " span.dim { (busy.len()) } }
        @if busy.is_empty() { p.dim { "No machine works." } }
        ol.runs {
            @for job in busy {
                li.run data-item data-job=(job.id) {
                    (badge::sign(badge::of_job(job)))
                    div.what {
                        a.title href={ "/runs/" (job.run) "/jobs/" (job.id) } { (job.name) }
                        div.sub { @match &job.machine { Some(machine) => code { (machine) }, None => "its machine starts" } }
                    }
                    div.where { @for label in &job.labels { span.label { (label) } " " } }
                    div.when { (format::took(job.clock.leased_at.unwrap_or(job.clock.queued_at), None, now)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_profile_says_what_it_takes_and_how_much_of_it_there_is() {
        let profile = Profile {
            name: "large".to_owned(),
            labels: vec!["ubuntu-latest".to_owned()],
            capacity: Capacity { machines: Some(4), vcpus: None, memory_mib: Some(16 * 1024) },
            ..Profile::default()
        };
        let page = render(&[profile], &[], &[sample::job(1, "build")], Timestamp(9_000)).into_string();
        for part in ["large", "ubuntu-latest", "4 machines, 16 GiB", "m-1"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
