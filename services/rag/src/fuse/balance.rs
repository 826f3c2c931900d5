//! How much the vector search and the search for words count for one query that does not say it.
//!
//! No share fits all queries: a model that knows English says little about Chinese, and words say little about a text in
//! another language. A search is trusted the more of the query it could read, and the more its best passages stand out
//! among those that it brings. How flat a list is, is the mean of its scaled scores (query performance prediction; Shtok et
//! al. 2012 use the deviation): near 0 if one passage is far ahead, 1 if all are alike. Trust falls with its square root,
//! halfway between not looking at the lists and taking them at their word. Nothing here is fitted to
//! a collection but that exponent; `tests/eval/ir.py` has it chosen for each collection by all the others.

use super::Read;

/// Lists are not flatter than this, so that a list of one has no endless weight.
const FLATTEST: f32 = 0.01;
/// A search that could read nothing still says something.
const LEAST_READ: f32 = 1e-3;

/// The share of the vector search, 0 to 1, by how flat each list is. None: the list is empty.
pub(super) fn dense_weight(dense: Option<f32>, lexical: Option<f32>, read: Read) -> f32 {
    let trust = |flatness: f32, read: f32| read.clamp(LEAST_READ, 1.0) / flatness.max(FLATTEST).sqrt();
    match (dense, lexical) {
        (Some(dense), Some(lexical)) => {
            let (dense, lexical) = (trust(dense, read.dense), trust(lexical, read.lexical));
            dense / (dense + lexical)
        }
        (Some(_), None) => 1.0,
        (None, Some(_)) => 0.0,
        (None, None) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Read = Read {
        dense: 1.0,
        lexical: 1.0,
    };

    #[test]
    fn trust_is_shared_by_flatness_and_by_what_was_read() {
        assert_eq!(dense_weight(Some(0.2), Some(0.2), ALL), 0.5);
        // A quarter as flat: twice the trust.
        assert!((dense_weight(Some(0.8), Some(0.2), ALL) - 1.0 / 3.0).abs() < 1e-6);
        let half = Read { dense: 0.5, ..ALL };
        assert!((dense_weight(Some(0.2), Some(0.2), half) - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn an_empty_list_counts_nothing_and_nothing_read_is_no_harm() {
        assert_eq!(dense_weight(Some(0.2), None, ALL), 1.0);
        assert_eq!(dense_weight(None, Some(0.2), ALL), 0.0);
        let none = Read {
            dense: 0.0,
            lexical: 0.0,
        };
        assert_eq!(dense_weight(Some(0.0), Some(0.0), none), 0.5);
        assert_eq!(dense_weight(None, None, none), 0.5);
    }
}
