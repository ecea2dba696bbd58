//! What people see of a run, on a terminal that is only imagined.

mod end;
mod live;
mod stage;
