//! A value built from files, kept fresh: the newest reading that made sense.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A TLS file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any chain of certificates.
    #[error("{} is larger than {MAX_FILE} bytes, which no PEM file of ours needs", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not PEM, or not whole.
    #[error("{} holds no usable {wanted} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What the parser says.
        source: pem::Error,
    },
    /// The key is not the certificate's, or an authority is unusable.
    #[error("the certificate, key and authorities do not go together")]
    Rejected(#[from] rustls::Error),
    /// The authorities cannot verify anybody.
    #[error("no authority in {} can verify a client", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::server::VerifierBuilderError,
    },
    /// Settings that only make sense together.
    #[error("{0}")]
    Incomplete(&'static str),
    /// Not a host name or address.
    #[error("\"{name}\" is not a host name or an IP address")]
    ServerName {
        /// The name.
        name: String,
    },
}

/// What a look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// What is in use is what is on disk.
    Unchanged,
    /// The new files are in use from the next connection on.
    Changed,
    /// The new files cannot be used; the old ones still are.
    Kept,
}

/// The largest file read: ten times a large bundle of public authorities.
const MAX_FILE: u64 = 4 << 20;

type Build<T> = Box<dyn Fn(&Contents) -> Result<T, Error> + Send + Sync>;

/// A `T` that follows its files.
pub(super) struct Fresh<T> {
    current: ArcSwap<T>,
    paths: Vec<PathBuf>,
    build: Build<T>,
    seen: Mutex<Seen>,
    interval: Duration,
}

/// The bytes of the files, in the order of their paths.
pub(super) struct Contents {
    files: Vec<(PathBuf, Vec<u8>)>,
}

struct Seen {
    /// The print of what is in use.
    used: u64,
    /// The message that was logged last, so that a lasting fault is logged once.
    warned: Option<String>,
}

// === impl Fresh ===

impl<T> Fresh<T> {
    /// Reads and builds the first value.
    pub(super) fn load(
        paths: Vec<PathBuf>,
        interval: Duration,
        build: impl Fn(&Contents) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let contents = Contents::read(&paths)?;
        let current = ArcSwap::from_pointee(build(&contents)?);
        Ok(Self {
            current,
            paths,
            build: Box::new(build),
            seen: Mutex::new(Seen {
                used: contents.print(),
                warned: None,
            }),
            // A zero would spin.
            interval: interval.max(Duration::from_millis(10)),
        })
    }

    pub(super) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Looks at the files now. A fault is logged when it is first seen.
    pub(super) fn reload(&self) -> Reload {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.attempt(seen.used) {
            Ok(None) => {
                seen.warned = None;
                Reload::Unchanged
            }
            Ok(Some((print, value))) => {
                self.current.store(Arc::new(value));
                *seen = Seen {
                    used: print,
                    warned: None,
                };
                tracing::info!(files = ?self.paths, "TLS files reloaded");
                Reload::Changed
            }
            Err(error) => {
                let message = polyphony_error::chain(&error).to_string();
                if seen.warned.as_ref() != Some(&message) {
                    tracing::warn!(
                        error = message,
                        "new TLS files cannot be used, keeping the old ones"
                    );
                    seen.warned = Some(message);
                }
                Reload::Kept
            }
        }
    }

    fn attempt(&self, used: u64) -> Result<Option<(u64, T)>, Error> {
        let contents = Contents::read(&self.paths)?;
        let print = contents.print();
        if print == used {
            return Ok(None);
        }
        Ok(Some((print, (self.build)(&contents)?)))
    }

    /// Looks at the files at every interval, for ever. The files are small and local, so they are read in place.
    pub(super) async fn keep(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(self.interval).await;
            self.reload();
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }
}

// === impl Contents ===

impl Contents {
    fn read(paths: &[PathBuf]) -> Result<Self, Error> {
        let read = |path: &PathBuf| Ok((path.clone(), read_limited(path)?));
        let files = paths.iter().map(read).collect::<Result<_, Error>>()?;
        Ok(Self { files })
    }

    /// Tells one reading from another; not a digest, for nobody gains by a collision.
    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (_, bytes) in &self.files {
            bytes.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The chain of certificates in file `at`.
    pub(super) fn chain(&self, at: usize) -> Result<Vec<CertificateDer<'static>>, Error> {
        let (path, bytes) = &self.files[at];
        let fault = |source| Error::Pem {
            path: path.clone(),
            wanted: "certificate",
            source,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(fault)?;
        if chain.is_empty() {
            return Err(fault(pem::Error::NoItemsFound));
        }
        Ok(chain)
    }

    /// The private key in file `at`.
    pub(super) fn key(&self, at: usize) -> Result<PrivateKeyDer<'static>, Error> {
        let (path, bytes) = &self.files[at];
        PrivateKeyDer::from_pem_slice(bytes).map_err(|source| Error::Pem {
            path: path.clone(),
            wanted: "private key",
            source,
        })
    }

    /// The authorities in file `at`.
    pub(super) fn roots(&self, at: usize) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for authority in self.chain(at)? {
            roots.add(authority)?;
        }
        Ok(roots)
    }

    /// Whether there is a file `at`.
    pub(super) fn has(&self, at: usize) -> bool {
        at < self.files.len()
    }

    pub(super) fn path(&self, at: usize) -> &Path {
        &self.files[at].0
    }
}

fn read_limited(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}
