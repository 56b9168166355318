//! Limits, calendars, lights and time brackets, against what the handbook says,
//! against a count by hand, and against people whose clocks are wrong.

#[path = "clocks/at.rs"]
mod at;
#[path = "clocks/brackets.rs"]
mod brackets;
#[path = "clocks/handbook.rs"]
mod handbook;
#[path = "clocks/holidays.rs"]
mod holidays;
#[path = "clocks/mistakes.rs"]
mod mistakes;
#[path = "clocks/oracle.rs"]
mod oracle;
#[path = "clocks/server.rs"]
mod server;
