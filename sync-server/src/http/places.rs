//! Places that are taken and given back: how many connections of one address,
//! how many requests of one session are open at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many places for each key.
#[derive(Debug)]
pub(super) struct Places<K: Ord + Copy> {
    each: usize,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<K: Ord + Copy> {
    key: K,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

impl<K: Ord + Copy> Places<K> {
    pub(super) fn new(each: usize) -> Self {
        Self {
            each,
            taken: Arc::default(),
        }
    }

    /// A place, if there is one.
    pub(super) fn take(&self, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Place {
            key,
            taken: self.taken.clone(),
        })
    }
}

impl<K: Ord + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back() {
        let places = Places::new(2);
        let (first, second) = (places.take(7), places.take(7));
        assert!(first.is_some() && second.is_some());
        assert!(places.take(7).is_none() && places.take(8).is_some());
        drop(first);
        assert!(places.take(7).is_some());
        drop(second);
        assert!(places.taken.lock().expect("whole").is_empty());
    }
}
