//! Counters, gauges, and histograms with labels, in the text that Prometheus reads.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Combinations of labels of one metric: what the outside can influence (names of events, operations) must not fill
/// memory. Those beyond it are counted together, as `other`.
const SERIES: usize = 200;

/// One metric, with a value for each combination of labels.
pub(super) struct Family<T> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    series: Mutex<BTreeMap<Vec<String>, T>>,
}

impl<T: Value> Family<T> {
    pub(super) fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family<T> {
        let family = Family { name, help, labels, series: Mutex::default() };
        if labels.is_empty() {
            // It is 0 before anything has happened, rather than unknown.
            family.change(&[], |_| {});
        }
        family
    }

    /// Changes the value with these labels, as many as the family has.
    pub(super) fn change(&self, labels: &[&str], change: impl FnOnce(&mut T)) {
        let mut key: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut series = self.lock();
        if series.len() >= SERIES && !series.contains_key(&key) {
            key = vec!["other".to_owned(); labels.len()];
        }
        change(series.entry(key).or_default());
    }

    pub(super) fn write(&self, text: &mut String) {
        let Family { name, help, .. } = self;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", T::KIND);
        for (values, value) in &*self.lock() {
            let pairs = self.labels.iter().zip(values);
            let labels: Vec<String> =
                pairs.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            value.write(name, &labels, text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<String>, T>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a series has.
pub(super) trait Value: Default {
    const KIND: &'static str;

    fn write(&self, name: &str, labels: &[String], text: &mut String);
}

/// Only ever grows.
#[derive(Default)]
pub(super) struct Counter(pub(super) u64);

impl Value for Counter {
    const KIND: &'static str = "counter";

    fn write(&self, name: &str, labels: &[String], text: &mut String) {
        line(text, name, labels, &self.0);
    }
}

/// As it is now.
#[derive(Default)]
pub(super) struct Gauge(pub(super) u64);

impl Value for Gauge {
    const KIND: &'static str = "gauge";

    fn write(&self, name: &str, labels: &[String], text: &mut String) {
        line(text, name, labels, &self.0);
    }
}

/// Upper bounds of the buckets, in seconds: from an answer to a webhook to a job of six hours.
const BOUNDS: [f64; 19] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3600.0, 21600.0,
];

/// How long things took, in seconds.
#[derive(Default)]
pub(super) struct Histogram {
    /// How many fell below each bound and not below the one before.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    pub(super) fn observe(&mut self, seconds: f64) {
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

impl Value for Histogram {
    const KIND: &'static str = "histogram";

    fn write(&self, name: &str, labels: &[String], text: &mut String) {
        let mut below = 0;
        let mut bucket = |bound: &str, below: u64| {
            let labels = [labels, &[format!("le=\"{bound}\"")]].concat();
            line(text, &format!("{name}_bucket"), &labels, &below);
        };
        for (bound, more) in BOUNDS.iter().zip(self.buckets) {
            below += more;
            bucket(&bound.to_string(), below);
        }
        bucket("+Inf", self.count);
        line(text, &format!("{name}_sum"), labels, &self.sum);
        line(text, &format!("{name}_count"), labels, &self.count);
    }
}

fn line(text: &mut String, name: &str, labels: &[String], value: &impl std::fmt::Display) {
    let _ = match labels {
        [] => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{}}} {value}", labels.join(",")),
    };
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_all_that_are_below_each_bound() {
        let family = Family::<Histogram>::new("wait_seconds", "How long.", &["kind"]);
        for seconds in [0.002, 0.3, 100_000.0] {
            family.change(&["a\"b\n"], |histogram| histogram.observe(seconds));
        }
        let mut text = String::new();
        family.write(&mut text);
        assert!(text.starts_with("# HELP wait_seconds How long.\n# TYPE wait_seconds histogram\n"), "{text}");
        for line in [
            r#"wait_seconds_bucket{kind="a\"b\n",le="0.001"} 0"#,
            r#"wait_seconds_bucket{kind="a\"b\n",le="0.0025"} 1"#,
            r#"wait_seconds_bucket{kind="a\"b\n",le="21600"} 2"#,
            r#"wait_seconds_bucket{kind="a\"b\n",le="+Inf"} 3"#,
            r#"wait_seconds_sum{kind="a\"b\n"} 100000.302"#,
            r#"wait_seconds_count{kind="a\"b\n"} 3"#,
        ] {
            assert!(text.lines().any(|has| has == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_metric_without_labels_is_there_before_anything_happened() {
        let mut text = String::new();
        Family::<Counter>::new("done_total", "Done.", &[]).write(&mut text);
        assert_eq!(text, "# HELP done_total Done.\n# TYPE done_total counter\ndone_total 0\n");
    }

    #[test]
    fn names_from_outside_do_not_fill_memory() {
        let family = Family::<Counter>::new("events_total", "Events.", &["event"]);
        for number in 0..1000 {
            family.change(&[&number.to_string()], |counter| counter.0 += 1);
        }
        assert_eq!(family.lock().len(), SERIES + 1);
        assert_eq!(family.lock()[&vec!["other".to_owned()]].0, 800);
    }
}
