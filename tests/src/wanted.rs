//! How much of something is wanted: as a variable of the environment says, or as
//! much as `make test` has time for.

/// The number in the variable of this name, else the usual one.
///
/// # Panics
/// The variable is no number.
pub fn wanted(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(count) => count
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number")),
        Err(_) => usual,
    }
}
