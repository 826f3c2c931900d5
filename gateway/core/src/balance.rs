//! Choosing one of the usable endpoints.
//!
//! A [`Picker`] is built from the endpoints that are usable now and thrown away when that changes. It never falls back
//! to unusable ones (Envoy's panic threshold, which we hold at 0): with none left there is nothing to pick.

mod least_request;
mod ring_hash;
mod round_robin;

use crate::Balance;
use least_request::LeastRequest;
use ring_hash::RingHash;
use round_robin::RoundRobin;

/// An endpoint that may be picked.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What [`Picker::pick`] returns for it.
    pub index: usize,
    /// Its share of the calls, at least 1.
    pub weight: u32,
    /// Its address, which the ring hashes; so that it keeps its place when its neighbours change.
    pub name: &'a str,
}

/// What a pick may go by.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The value of the hashed header, if the call has one.
    pub key: Option<&'a [u8]>,
    /// 64 random bits.
    pub random: u64,
    /// An endpoint that was just tried in vain; taken only if it is alone.
    pub avoid: Option<usize>,
}

/// The policy of a cluster over its usable endpoints.
#[derive(Debug)]
pub struct Picker(Inner);

#[derive(Debug)]
enum Inner {
    RoundRobin(RoundRobin),
    LeastRequest(LeastRequest),
    RingHash(RingHash),
}

// === impl Picker ===

impl Picker {
    /// Builds the policy over these endpoints.
    pub fn new(balance: &Balance, candidates: &[Candidate<'_>]) -> Self {
        Self(match balance {
            Balance::RoundRobin => Inner::RoundRobin(RoundRobin::new(candidates)),
            Balance::LeastRequest => Inner::LeastRequest(LeastRequest::new(candidates)),
            Balance::RingHash { .. } => Inner::RingHash(RingHash::new(candidates)),
        })
    }

    /// The index of an endpoint, or `None` if none is usable. `load` tells how many calls an endpoint has in flight.
    pub fn pick(&self, choice: Choice<'_>, load: impl Fn(usize) -> usize) -> Option<usize> {
        match &self.0 {
            Inner::RoundRobin(policy) => policy.pick(choice.avoid),
            Inner::LeastRequest(policy) => policy.pick(choice.random, choice.avoid, load),
            Inner::RingHash(policy) => policy.pick(choice),
        }
    }
}
