//! What may happen to a store from outside: a second server, kill -9, a full disk, damage.

mod backup;
mod child;
mod damage;
mod disk_full;
mod formats;
mod killed;
mod openers;
mod sample;
