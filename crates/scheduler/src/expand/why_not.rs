//! Why an event starts nothing: each workflow file is named once, however many events a delivery is.

use std::collections::BTreeMap;

/// Why an event starts no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WhyNot {
    /// Of this workflow file; of none of them, if there is none.
    file: Option<String>,
    reason: String,
}

impl WhyNot {
    pub(super) fn of(file: &str, reason: String) -> WhyNot {
        WhyNot { file: Some(file.to_owned()), reason }
    }

    pub(super) fn all(reason: String) -> WhyNot {
        WhyNot { file: None, reason }
    }
}

/// All of it in a line.
pub(crate) fn told(all: &[WhyNot]) -> String {
    let mut by_file: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for WhyNot { file, reason } in all {
        let reasons = by_file.entry(file.as_deref()).or_default();
        if !reasons.contains(&reason.as_str()) {
            reasons.push(reason);
        }
    }
    let told = by_file.iter().map(|(file, reasons)| match file {
        Some(file) => format!("{file}: {}", reasons.join(", ")),
        None => reasons.join("; "),
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_once_with_all_of_its_reasons_each_once() {
        let not = |event: &str| format!("the workflow is not triggered by {event}");
        let all = [
            WhyNot::of("ci.yml", not("pull_request")),
            WhyNot::of("lint.yml", not("pull_request")),
            WhyNot::of("ci.yml", not("pull_request_target")),
            WhyNot::of("lint.yml", not("pull_request")),
            WhyNot::all("there is no merge yet".to_owned()),
        ];
        assert_eq!(
            told(&all),
            "there is no merge yet; ci.yml: the workflow is not triggered by pull_request, the workflow is not \
             triggered by pull_request_target; lint.yml: the workflow is not triggered by pull_request"
        );
    }
}
