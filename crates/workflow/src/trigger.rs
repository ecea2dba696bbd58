//! (trigger)
