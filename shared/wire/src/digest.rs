//! `expected_model_digest`: refuse to run unless the model is the very one that the caller means.

use polyphony_error::{Fault, Kind};

use crate::Refusals;

/// A digest that the caller expects, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected(String);

// === impl Expected ===

impl Expected {
    /// Parses `expected_model_digest`.
    pub fn parse(digest: &str, refusals: &mut Refusals) -> Self {
        if !digest.is_empty() && !is_digest(digest) {
            refusals.add(
                "expected_model_digest",
                "must be \"sha256:\" and 64 lower-case hexadecimal digits",
            );
        }
        Self(digest.to_owned())
    }

    /// Whether the model is the one. `path` is that of the config in the request, as "config.".
    ///
    /// # Errors
    /// FAILED_PRECONDITION when it is another.
    pub fn check(&self, digest: &str, path: &str) -> Result<(), Fault> {
        if self.0.is_empty() || self.0 == digest {
            return Ok(());
        }
        let message = format!(
            "{path}expected_model_digest: the model on disk is {digest}; change the digest, or pull the model anew"
        );
        Err(Fault::new(
            Kind::FailedPrecondition,
            "MODEL_DIGEST_MISMATCH",
            message,
        ))
    }
}

fn is_digest(text: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hexadecimal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_digest_that_was_asked_for_will_do() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let mut refusals = Refusals::at("config.");
        let expected = Expected::parse(&digest, &mut refusals);
        refusals.finish().expect("a digest");
        expected.check(&digest, "config.").expect("the same");
        let other = format!("sha256:{}", "0b".repeat(32));
        let fault = expected.check(&other, "config.").expect_err("another model");
        assert_eq!(fault.kind, Kind::FailedPrecondition);
        Expected::default()
            .check(&other, "config.")
            .expect("nothing is expected");
    }

    #[test]
    fn what_is_no_digest_is_refused_by_its_path() {
        for text in ["sha256:", "0a", &format!("sha256:{}", "0A".repeat(32))] {
            let mut refusals = Refusals::at("config.");
            Expected::parse(text, &mut refusals);
            let fault = refusals.finish().expect_err("no digest");
            assert_eq!(fault.violations[0].field, "config.expected_model_digest");
        }
    }
}
