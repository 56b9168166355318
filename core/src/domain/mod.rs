//! Pure rules. Nothing here reads a clock, a random source, a file, a socket or
//! a database; everything is a function of its arguments.
//!
//! Read in this order: the words ([`ids`], [`time`], [`limit`], [`calendar`],
//! [`holidays`], [`place`], [`codes`]), who is who ([`directory`]), what can happen ([`order`], [`action`],
//! [`reason`]), what it amounts to ([`history`], [`finding`], [`whistle`],
//! [`record`]), who may do it ([`content`], [`rights`], [`available`]), who reads
//! what is not for everybody ([`private`]), what shows it ([`evidence`]), until when ([`deadline`], [`ladder`]),
//! who takes over when nobody answers ([`escalation`]), for how long a silent
//! phone shows what others did ([`lease`]), and what came of it all
//! ([`statistics`]).

pub mod ids;
// Words first.
pub mod time;
// Then clocks and places.
pub mod limit;
//
pub mod calendar;
//
pub mod holidays;
// (The comments keep the reading order from being sorted.)
pub mod place;
//
pub mod codes;
//
pub mod directory;
//
pub mod reason;
//
pub mod order;
//
pub mod action;
//
pub mod words;
//
pub mod history;
//
pub mod finding;
//
pub mod whistle;
//
pub mod record;
//
pub mod content;
//
pub mod rights;
//
pub mod available;
//
pub mod private;
//
pub mod evidence;
//
pub mod rules;
//
pub mod deadline;
//
pub mod ladder;
//
pub mod escalation;
//
pub mod todo;
//
pub mod lease;
//
pub mod statistics;
