//! The budget of retries: each request pays in a little, each retry takes one out. So retries never add more than their share
//! to the load of servers that fail, while a few are always allowed.

use std::sync::{Mutex, PoisonError};

/// The budget of the process.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<f64>);

/// What is there at first, and the most that is saved up.
const MOST: f64 = 10.0;

// === impl Budget ===

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(MOST))
    }

    /// A request pays in.
    pub(crate) fn deposit(&self, share: f64) {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + share).min(MOST);
    }

    /// A retry is taken out, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = *saved >= 1.0;
        if is_there {
            *saved -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_at_most_their_share() {
        let budget = Budget::new();
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.deposit(0.2);
            retries += u32::from(budget.withdraw());
        }
        assert!((200..=210).contains(&retries), "{retries}");
    }
}
