//! From deliveries to finished jobs, on a real git repository and a real database; only machines are made up.

mod crash;
mod house;
mod queue;
mod reruns;
mod starts;
