//! SHA-256 of files and of models, and the git blob id by which the hub names small files.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest;

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

/// The id of a git blob: SHA-1 over `blob LENGTH\0` and the content, as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct GitBlob([u8; 20]);

/// The text is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("expected {0} hexadecimal digits")]
pub struct NotADigest(usize);

/// What one reading of a file tells about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// Reads to the end.
pub(crate) fn fingerprint(mut file: impl Read) -> io::Result<Fingerprint> {
    let mut sha256 = sha2::Sha256::new();
    let bytes = feed(&mut file, |chunk| sha256.update(chunk))?;
    Ok(Fingerprint {
        bytes,
        sha256: Sha256(sha256.finalize().into()),
    })
}

/// Reads to the end. `bytes` is what the file is said to have; another length gives another id.
pub(crate) fn git_blob(mut file: impl Read, bytes: u64) -> io::Result<GitBlob> {
    let mut sha1 = sha1::Sha1::new();
    sha1.update(format!("blob {bytes}\0"));
    feed(&mut file, |chunk| sha1.update(chunk))?;
    Ok(GitBlob(sha1.finalize().into()))
}

fn feed(file: &mut impl Read, mut sink: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) => {
                sink(&buffer[..n]);
                bytes += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], NotADigest> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(NotADigest(2 * N));
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16).ok_or(NotADigest(2 * N))?;
        let low = char::from(pair[1]).to_digit(16).ok_or(NotADigest(2 * N))?;
        *byte = (high << 4 | low) as u8;
    }
    Ok(bytes)
}

fn to_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

// === impl Sha256 ===

impl Sha256 {
    /// Of bytes in memory.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl FromStr for Sha256 {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        from_hex(text).map(Self)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

// === impl GitBlob ===

impl FromStr for GitBlob {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for GitBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for GitBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        let known = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(Sha256::of("hello").to_string(), known);
        let read = fingerprint(&b"hello"[..]).expect("memory reads");
        assert_eq!((read.bytes, read.sha256), (5, known.parse().expect("a digest")));
        // `printf hello | git hash-object --stdin`
        let blob = git_blob(&b"hello"[..], 5).expect("memory reads");
        assert_eq!(blob.to_string(), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        for text in ["", "abc", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert!(text.parse::<Sha256>().is_err(), "{text:?}");
        }
    }
}
