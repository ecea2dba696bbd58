//! From deliveries to finished jobs, on a real git repository and a real database; only machines and the forge's API
//! are made up.

mod chain;
mod clock;
mod crash;
mod dispatch;
mod environments;
mod faults;
mod faulty;
mod forge;
mod house;
mod identities;
mod intake;
mod missed;
mod outages;
mod queue;
mod reports;
mod reruns;
mod starts;
mod tokens;
mod unanswered;
mod unreadable;
