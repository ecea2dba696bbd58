//! Behaviour of the language that the conformance data leaves open.
