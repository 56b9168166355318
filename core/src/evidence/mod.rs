//! The bytes of evidence, the same code on the phone and on the server: sealing
//! and opening them as a stream ([`stream`]), and looking at pictures
//! ([`picture`]). What evidence *is* says [`crate::domain::evidence`].

pub mod stream;
//
pub mod picture;
