//! Which job needs which, as far as it is known.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use store::record::Attempt;

/// For each job of the workflow file, in its order: its key, and the keys that it needs. Empty when it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::pages) struct Needs(pub(in crate::pages) Vec<(String, Vec<String>)>);

impl Needs {
    /// From what the plan of an attempt was made of.
    pub(in crate::pages) fn of(attempt: &Attempt) -> Needs {
        let file = attempt.plan.as_ref().and_then(|plan| plan.get("file"));
        let part = |name: &str| file.and_then(|file| file.get(name)).and_then(Json::as_str);
        match (part("path"), part("text")) {
            (Some(path), Some(text)) => Needs::read(path, text),
            _ => Needs::default(),
        }
    }

    /// From a workflow file.
    pub(in crate::pages) fn read(path: &str, text: &str) -> Needs {
        let (workflow, _) =
            workflow::schema::read_workflow(path, text, &workflow::schema::ReadOptions::default());
        let jobs = workflow.map(|workflow| workflow.jobs).unwrap_or_default();
        let needs = |job: &workflow::syntax::Job| job.needs.iter().map(|need| need.value.clone()).collect();
        Needs(jobs.iter().map(|job| (job.id.value.clone(), needs(job))).collect())
    }

    /// How many jobs must end one after another before each: its column. Jobs that need one another in a circle
    /// (which no plan has) are in the first.
    pub(in crate::pages) fn levels(&self) -> BTreeMap<&str, usize> {
        let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
        // Each round finds one level at least; a file has no more levels than jobs.
        for _ in 0..self.0.len() {
            let before = levels.len();
            for (key, needs) in &self.0 {
                let needed = needs.iter().map(|need| levels.get(need.as_str()).copied());
                let highest = needed
                    .map(|level| level.map(|level| level + 1))
                    .try_fold(0, |high, level| level.map(|level: usize| level.max(high)));
                if let (Some(level), false) = (highest, levels.contains_key(key.as_str())) {
                    levels.insert(key, level);
                }
            }
            if levels.len() == before {
                break;
            }
        }
        for (key, _) in &self.0 {
            levels.entry(key).or_insert(0);
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_stands_behind_all_that_it_needs() {
        let text = "on: push\njobs:\n  z: {runs-on: a, needs: [b, c], steps: [{run: x}]}\n  a: {runs-on: a, steps: \
                    [{run: x}]}\n  b: {runs-on: a, needs: a, steps: [{run: x}]}\n  c: {runs-on: a, steps: [{run: x}]}\n";
        let needs = Needs::read("ci.yml", text);
        assert_eq!(needs.levels(), BTreeMap::from([("z", 2), ("a", 0), ("b", 1), ("c", 0)]));
    }

    #[test]
    fn a_circle_and_a_need_that_is_not_there_harm_nothing() {
        let needs = Needs(vec![
            ("a".to_owned(), vec!["b".to_owned()]),
            ("b".to_owned(), vec!["a".to_owned()]),
            ("c".to_owned(), vec!["nobody".to_owned()]),
        ]);
        assert_eq!(needs.levels(), BTreeMap::from([("a", 0), ("b", 0), ("c", 0)]));
    }

    #[test]
    fn a_file_that_is_none_has_no_needs() {
        assert_eq!(Needs::read("ci.yml", ": ["), Needs::default());
    }
}
