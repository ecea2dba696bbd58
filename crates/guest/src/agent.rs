//! The agent inside of the machine.
