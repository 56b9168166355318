//! Agreeing with the server, whenever there is one to be heard.
//!
//! 1. [`plan`] turns what the store holds into the next request.
//! 2. [`wire`] is the form of request and reply; zstd where it pays. [`head`]
//!    holds a server to what it said before.
//! 3. Somebody carries it: `transport`, an app's own HTTP stack, or a test's
//!    bad network. [`pin`] says by which key the server is recognised.
//! 4. [`settle`] turns the reply into what to store, to drop, to requeue and to
//!    show; an [`edition`] of the directory may come with it.
//!
//! Before all that, [`enrol`] made the phone one of the street's devices.
//!
//! What can go wrong: (3) any request and any reply may be lost, doubled or
//! cut: both sides recognise every envelope by its hash, so repeating is always
//! right, and an outbox row disappears only when a verdict names its hash;
//! a server that has no room asks to come back later ([`put_off`]);
//! (4) a reply that is not one changes nothing.

mod shape;
pub mod wire;
//
pub mod head;
// In the order of the sentences above.
pub mod evidence;
//
pub mod plan;
//
pub mod pin;
//
#[cfg(feature = "device")]
pub mod transport;
//
pub mod put_off;
//
pub mod settle;
//
pub mod edition;
//
pub mod enrol;
