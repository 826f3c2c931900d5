//! Pages: where one begins, and what says so to the next call.

use polyphony_error::{Fault, Kind};
use sha2::{Digest, Sha256};

use super::Candidate;
use super::plan::Plan;
use crate::Error;
use crate::domain::Query;

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// The epoch of the pages before it, if it is not the first.
    follows: Option<u64>,
    /// Hits before it.
    offset: usize,
    size: usize,
    /// Tells one search from another.
    digest: String,
}

// === impl Page ===

impl Page {
    /// The page that the query asks for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a token of another search.
    pub(super) fn of(query: &Query, plan: &Plan) -> Result<Self, Error> {
        let mut page = Self {
            follows: None,
            offset: 0,
            size: query.page_size,
            digest: digest(query, plan),
        };
        if query.page.is_empty() {
            return Ok(page);
        }
        let invalid = || {
            let why = "must be next_page_token of a page of this very search";
            Error::from(Fault::invalid("page_token", why))
        };
        let mut parts = query.page.split('.');
        let (Some(of), Some(offset), Some(digest), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        page.follows = Some(u64::from_str_radix(of, 16).map_err(|_| invalid())?);
        page.offset = usize::from_str_radix(offset, 16).map_err(|_| invalid())?;
        if digest != page.digest {
            return Err(invalid());
        }
        Ok(page)
    }

    /// Whether it is of the epoch of the pages before it.
    ///
    /// # Errors
    /// ABORTED when that is gone.
    pub(super) fn check(&self, epoch: u64) -> Result<(), Error> {
        if self.follows.is_none_or(|follows| follows == epoch) {
            return Ok(());
        }
        let text = "documents were changed since the first page; begin the search anew";
        Err(Fault::new(Kind::Aborted, "EPOCH_GONE", text).into())
    }

    /// Hits up to the end of it.
    pub(super) fn end(&self) -> usize {
        self.offset.saturating_add(self.size)
    }

    /// What is on it of all that was found in this epoch, and the token of the next.
    pub(super) fn cut(&self, candidates: Vec<Candidate>, epoch: u64) -> (Vec<Candidate>, String) {
        let more = candidates.len() > self.end();
        let shown = candidates.into_iter().skip(self.offset).take(self.size).collect();
        let next = more.then(|| format!("{epoch:x}.{:x}.{}", self.end(), self.digest));
        (shown, next.unwrap_or_default())
    }
}

/// All of a search that its order depends on.
fn digest(query: &Query, plan: &Plan) -> String {
    let Query {
        text,
        filter,
        retrieval: _,
        page_size: _,
        page: _,
    } = query;
    let of = format!("{text:?} {filter:?} {:?}", plan.effective);
    let digest = crate::staging::spelled(&Sha256::digest(of.as_bytes()));
    digest.chars().skip("sha256:".len()).take(24).collect()
}
