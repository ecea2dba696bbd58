//! Tasks of the project: tests, layers, benchmarks.
fn main() {}
