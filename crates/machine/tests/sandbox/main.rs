//! The sandbox's promises, held against it from inside and outside, as root and as an ordinary user.
//!
//! Root's half needs root, the other half is played by `setpriv` then; an ordinary user
//! runs its own half only.

mod bounds;
mod calls;
mod hosts;
mod house;
mod lifetime;
mod sight;
mod writes;
