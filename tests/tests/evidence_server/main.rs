//! Evidence at the server, over real sockets to real processes: how it comes,
//! who may have it, what happens when there is no room, when it is not what was
//! signed, when it is erased, kept long enough, or lost.

mod street;

mod arriving;
mod bucket;
mod full_disk;
mod looking_after;
mod room;
mod scope;
mod truth;
