//! What starts, what stops, and what waits, as whoever runs a server would notice.

mod build;
mod closing;
mod fairness;
mod groups;
mod life;
mod limits;
mod people;
mod profiles;
mod reasons;
