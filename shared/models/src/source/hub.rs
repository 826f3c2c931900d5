//! The model hub over HTTP: what a file is, and its bytes from any place on.
//!
//! The paths and headers are those of the Hugging Face hub: `/{repo}/resolve/{revision}/{path}`, where `X-Repo-Commit` is
//! the commit, `X-Linked-Size` and `X-Linked-ETag` the length and SHA-256 of a large file that lies on a CDN, and `ETag`
//! the git blob id of a small one. Redirects are followed here and not by the HTTP client, because the headers that
//! matter are on the answer that redirects, and because the token must not follow.
//!
//! One request a call, no retries: those are the puller's.

use std::time::Duration;

use polyphony_config::Secret;
use polyphony_error::chain;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LOCATION,
    RANGE, RETRY_AFTER,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use rustls::crypto::CryptoProvider;

use super::trouble::{Again, Trouble};
use super::url::{Endpoint, may_redirect};
use crate::digest::GitBlob;
use crate::{Error, FilePath, ModelId, ModelsConfig, Revision, Sha256};

/// One hub or mirror.
#[derive(Debug)]
pub(crate) struct Hub {
    endpoint: Endpoint,
    client: Client,
    token: Option<Secret<String>>,
    connect_timeout: Duration,
    read_timeout: Duration,
}

/// What the hub says about a file.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) commit: Option<Revision>,
    pub(crate) bytes: u64,
    pub(crate) etag: Etag,
}

/// By what the hub names the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Etag {
    /// A large file.
    Sha256(Sha256),
    /// A small file.
    GitBlob(GitBlob),
    /// Nothing that can be checked.
    Opaque,
}

/// The bytes of a file.
#[derive(Debug)]
pub(crate) struct Body {
    response: Response,
    /// Where they begin: where they were asked for, or 0 if the server knows no ranges.
    pub(crate) start: u64,
    read_timeout: Duration,
    name: String,
}

/// More redirects are a loop.
const MOST_REDIRECTS: usize = 5;
/// We do not wait longer for a server that asks us to.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

// === impl Hub ===

impl Hub {
    /// The hubs of a configuration, in order. Opens no connection.
    pub(crate) fn all(config: &ModelsConfig) -> Result<Vec<Self>, Error> {
        if CryptoProvider::get_default().is_none() {
            // Somebody else may have been faster; every crate here installs the same one.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let hub = |(index, text): (usize, &String)| {
            let endpoint = Endpoint::parse(text)?;
            let mut builder = Client::builder()
                .user_agent(concat!("polyphony/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(config.connect_timeout.get());
            if endpoint.is_local() {
                builder = builder.no_proxy();
            }
            let client = builder.build().map_err(|error| Error::Config {
                key: "models.hub_endpoints",
                problem: format!("no TLS client can be made: {}", chain(&error)),
            })?;
            // A mirror is somebody else's server: it gets no token.
            let token = config
                .hub_token
                .clone()
                .filter(|token| index == 0 && !token.expose().is_empty());
            Ok(Self {
                endpoint,
                client,
                token,
                connect_timeout: config.connect_timeout.get(),
                read_timeout: config.read_timeout.get(),
            })
        };
        config.hub_endpoints.iter().enumerate().map(hub).collect()
    }

    /// Whether the addresses of a configuration can be used at all.
    pub(crate) fn check(config: &ModelsConfig) -> Result<(), Error> {
        config
            .hub_endpoints
            .iter()
            .try_for_each(|text| Endpoint::parse(text).map(drop))
    }

    /// The address for messages.
    pub(crate) fn name(&self) -> String {
        self.endpoint.name()
    }

    /// Asks what a file is.
    pub(crate) async fn head(
        &self,
        repo: &ModelId,
        revision: &Revision,
        path: &FilePath,
    ) -> Result<Remote, Trouble> {
        let mut url = self.endpoint.file(repo, revision, path)?;
        let mut commit = None;
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(Method::HEAD, &url, None).await?;
            let headers = response.headers();
            if commit.is_none() {
                commit = text(headers, "x-repo-commit")
                    .map(str::parse::<Revision>)
                    .transpose()?;
            }
            let linked = text(headers, "x-linked-size").and_then(|bytes| bytes.parse().ok());
            let status = response.status();
            if let (Some(bytes), true) = (linked, status.is_redirection() || status.is_success()) {
                let etag = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()));
                return Ok(Remote {
                    commit,
                    bytes,
                    etag: Etag::read(etag),
                });
            }
            if status.is_success() {
                let bytes = text(headers, CONTENT_LENGTH.as_str()).and_then(|bytes| bytes.parse().ok());
                let bytes = bytes.ok_or_else(|| self.nonsense(format!("without the length of {path}")))?;
                // After a redirect to a CDN the tag is the CDN's, and means something else or nothing.
                let etag = if self.endpoint.owns(&url) {
                    text(headers, ETAG.as_str())
                } else {
                    None
                };
                return Ok(Remote {
                    commit,
                    bytes,
                    etag: Etag::read(etag),
                });
            }
            url = self.follow(&url, &response, repo, revision, path)?;
        }
        Err(self.nonsense(format!("with more than {MOST_REDIRECTS} redirects")))
    }

    /// Asks for the bytes of a file from `start` on.
    pub(crate) async fn get(
        &self,
        repo: &ModelId,
        revision: &Revision,
        path: &FilePath,
        start: u64,
    ) -> Result<Body, Trouble> {
        let mut url = self.endpoint.file(repo, revision, path)?;
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(Method::GET, &url, Some(start)).await?;
            let body = |response, start| Body {
                response,
                start,
                read_timeout: self.read_timeout,
                name: self.name(),
            };
            match response.status() {
                StatusCode::OK => return Ok(body(response, 0)),
                StatusCode::PARTIAL_CONTENT => {
                    let range = text(response.headers(), CONTENT_RANGE.as_str()).unwrap_or_default();
                    if !range.starts_with(&format!("bytes {start}-")) {
                        return Err(
                            self.nonsense(format!("with the range {range:?} when asked for {start}-"))
                        );
                    }
                    return Ok(body(response, start));
                }
                _ => url = self.follow(&url, &response, repo, revision, path)?,
            }
        }
        Err(self.nonsense(format!("with more than {MOST_REDIRECTS} redirects")))
    }

    async fn send(&self, method: Method, url: &Url, start: Option<u64>) -> Result<Response, Trouble> {
        // A compressed answer has another length than the file.
        let mut request = self
            .client
            .request(method, url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(start) = start.filter(|start| *start > 0) {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.endpoint.owns(url)) {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| Error::Config {
                    key: "models.hub_token",
                    problem: "has characters that no token has".to_owned(),
                })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let patience = self.connect_timeout + self.read_timeout;
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Trouble::broken(self.name(), error)),
            Err(_) => Err(Trouble::silence(self.name(), patience)),
        }
    }

    /// Where a redirect leads, or the error that an answer is.
    fn follow(
        &self,
        url: &Url,
        response: &Response,
        repo: &ModelId,
        revision: &Revision,
        path: &FilePath,
    ) -> Result<Url, Trouble> {
        let status = response.status();
        let headers = response.headers();
        let code = text(headers, "x-error-code").unwrap_or_default();
        let after = text(headers, RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
        let again = Again::After(
            after
                .map(Duration::from_secs)
                .map(|after| after.min(LONGEST_RETRY_AFTER)),
        );
        match status.as_u16() {
            301 | 302 | 303 | 307 | 308 => {
                let next = text(headers, LOCATION.as_str()).and_then(|location| url.join(location).ok());
                let next = next.ok_or_else(|| self.nonsense("with a redirect to nowhere".to_owned()))?;
                if !may_redirect(url, &next) {
                    let host = next.host_str().unwrap_or_default();
                    return Err(self.nonsense(format!(
                        "with a redirect to {}://{host}, which is not followed",
                        next.scheme()
                    )));
                }
                Ok(next)
            }
            401 | 403 => Err(Trouble::last(Error::Denied {
                endpoint: self.name(),
                repo: repo.to_string(),
                status: status.as_u16(),
                remedy: self.remedy(repo, code),
            })),
            404 | 410 => Err(Trouble::last(Error::Missing {
                endpoint: self.name(),
                what: match code {
                    "RepoNotFound" => format!("repository {repo}"),
                    "RevisionNotFound" => format!("revision {revision} of {repo}"),
                    _ => format!("file {path} in {repo} at {revision}"),
                },
            })),
            408 | 429 | 500..=599 => Err(Trouble {
                again,
                ..self.nonsense(format!("{status}; it may be overloaded"))
            }),
            _ => Err(self.nonsense(format!("{status} when asked for {path}"))),
        }
    }

    fn remedy(&self, repo: &ModelId, code: &str) -> String {
        let token = match self.token {
            Some(_) => "the token of models.hub_token does not open it",
            None => "set models.hub_token_file to a file with a token",
        };
        match code {
            "GatedRepo" => format!(
                "its licence must be accepted at {}/{repo} first, and {token}",
                self.name()
            ),
            _ => {
                format!("it is private, gated or does not exist; {token}, and accept its licence on its page")
            }
        }
    }

    fn nonsense(&self, problem: String) -> Trouble {
        Trouble::last(Error::Hub {
            endpoint: self.name(),
            problem,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

// === impl Etag ===

impl Etag {
    fn read(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default();
        let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        let sha256 = bare.parse().map(Self::Sha256);
        sha256
            .or_else(|_| bare.parse().map(Self::GitBlob))
            .unwrap_or(Self::Opaque)
    }
}

// === impl Body ===

impl Body {
    /// The next bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Trouble> {
        match tokio::time::timeout(self.read_timeout, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(Trouble::broken(self.name.clone(), error)),
            Err(_) => Err(Trouble::silence(self.name.clone(), self.read_timeout)),
        }
    }

    /// How many bytes will come, if the server says so.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.response.content_length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_large_and_small_files_are_told_apart() {
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(
            Etag::read(Some(&format!("\"{sha256}\""))),
            Etag::Sha256(Sha256::of("hello"))
        );
        let blob = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        assert!(matches!(
            Etag::read(Some(&format!("W/\"{blob}\""))),
            Etag::GitBlob(_)
        ));
        for opaque in [
            None,
            Some(""),
            Some("\"d41d8cd98f00b204e9800998ecf8427e\""),
            Some("\"x\""),
        ] {
            assert_eq!(Etag::read(opaque), Etag::Opaque);
        }
    }
}
