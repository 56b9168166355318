//! The phone.
uniffi::setup_scaffolding!();
