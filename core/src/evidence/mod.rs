//! The bytes of evidence: sealing and opening them as a stream ([`stream`]) and
//! looking at pictures ([`picture`]), the same code on the phone and on the
//! server; and on the phone a copy with words below it ([`watermark`]). What
//! evidence *is* says [`crate::domain::evidence`].

pub mod picture;
pub mod stream;
#[cfg(feature = "device")]
pub mod watermark;
