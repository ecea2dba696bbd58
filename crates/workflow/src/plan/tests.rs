//! What a plan does, seen from outside: commands that come out for results that go in.

mod attempts;
mod build;
mod cache_modes;
mod calls;
mod cancel;
mod drive;
mod groups;
mod limits;
mod matrices;
mod needs;
mod permissions;
mod previews;
mod random;
mod settings;
