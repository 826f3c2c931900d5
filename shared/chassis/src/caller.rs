//! Who calls, as far as what they own is concerned: the names in a certificate that was verified, or nobody in
//! particular.
//!
//! Without client certificates all callers are one, who owns what is owned by [`ANONYMOUS`]. Behind a gateway that speaks
//! for its clients, the gateway is the caller.

use crate::Peer;

/// What the owner of a thing is called where callers have no names.
pub use polyphony_jobs::ANONYMOUS;

/// Who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Nobody in particular, where it is none.
    names: Option<Vec<String>>,
}

// === impl Caller ===

impl Caller {
    /// Who sent this request.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        let peer = request.extensions().get::<Peer>();
        let identity = peer.and_then(|peer| peer.identity.as_deref());
        Self {
            names: identity.map(|identity| identity.uris.iter().chain(&identity.dns).cloned().collect()),
        }
    }

    /// Whether this is a name of the caller.
    pub fn is(&self, name: &str) -> bool {
        match &self.names {
            None => name == ANONYMOUS,
            // A certificate cannot claim what belongs to callers without one.
            Some(names) => name != ANONYMOUS && names.iter().any(|own| own == name),
        }
    }

    /// Each of its names, a SPIFFE id before a DNS name: it may use what any of them owns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let nobody = self.names.is_none().then_some(ANONYMOUS);
        let own = self.names.iter().flatten().map(String::as_str);
        nobody.into_iter().chain(own.filter(|name| *name != ANONYMOUS))
    }

    /// The owner of what the caller makes: its first name, a SPIFFE id before a DNS name. None for a certificate without
    /// a name, which can own nothing.
    pub fn owner(&self) -> Option<&str> {
        match &self.names {
            None => Some(ANONYMOUS),
            Some(names) => names.iter().map(String::as_str).find(|name| *name != ANONYMOUS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Identity;

    fn caller(identity: Option<Identity>) -> Caller {
        let mut request = tonic::Request::new(());
        request.extensions_mut().insert(Peer {
            addr: ([127, 0, 0, 1], 1).into(),
            identity: identity.map(Arc::new),
        });
        Caller::of(&request)
    }

    #[test]
    fn a_caller_is_each_of_its_verified_names_and_no_other() {
        let books = caller(Some(Identity {
            uris: vec!["spiffe://example.org/books".to_owned()],
            dns: vec!["books.example.org".to_owned(), ANONYMOUS.to_owned()],
        }));
        assert!(books.is("spiffe://example.org/books") && books.is("books.example.org"));
        assert!(!books.is("spiffe://example.org/radio") && !books.is(ANONYMOUS) && !books.is(""));
        assert_eq!(books.owner(), Some("spiffe://example.org/books"));
        assert!(
            books
                .names()
                .eq(["spiffe://example.org/books", "books.example.org"])
        );
    }

    #[test]
    fn callers_without_certificates_are_one() {
        let nobody = caller(None);
        assert!(nobody.is(ANONYMOUS) && !nobody.is("books.example.org"));
        assert_eq!(nobody.owner(), Some(ANONYMOUS));
        assert!(nobody.names().eq([ANONYMOUS]));
        let nameless = caller(Some(Identity {
            uris: Vec::new(),
            dns: Vec::new(),
        }));
        assert!(!nameless.is(ANONYMOUS));
        assert_eq!(nameless.owner(), None);
    }
}
