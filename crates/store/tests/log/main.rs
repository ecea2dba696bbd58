//! Logs: written, read from any place, followed, searched, and torn.

mod damage;
mod following;
mod reading;
mod sample;
mod searching;
