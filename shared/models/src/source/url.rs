//! The addresses of a hub: which are allowed, and how the path of a file is made.

use reqwest::Url;

use crate::{Error, FilePath, ModelId, Revision};

/// A hub or a mirror of one.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    base: Url,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads an address: `https`, or `http` on this machine; a path before that of the hub is kept.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Config {
            key: "models.hub_endpoints",
            problem,
        };
        let base = Url::parse(text).map_err(|error| wrong(format!("{text:?} is not an address: {error}")))?;
        if !base.username().is_empty() || base.password().is_some() {
            // The text is not repeated: it has a password in it.
            return Err(wrong(
                "an address must not hold credentials; set models.hub_token_file".to_owned(),
            ));
        }
        if base.query().is_some() || base.fragment().is_some() || !is_allowed(&base) {
            return Err(wrong(format!(
                "{text:?}: expected https://HOST, or http:// on this machine"
            )));
        }
        Ok(Self { base })
    }

    /// `{base}/{repo}/resolve/{revision}/{path}`, each part percent-encoded.
    pub(crate) fn file(&self, repo: &ModelId, revision: &Revision, path: &FilePath) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Config {
                key: "models.hub_endpoints",
                problem: format!("{} cannot have a path", self.base),
            })?
            .pop_if_empty()
            .extend(repo.as_str().split('/'))
            .extend(["resolve", revision.as_str()])
            .extend(path.as_str().split('/'));
        Ok(url)
    }

    /// Whether an address is on this very hub, so that it may see the token.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// Whether it is on this machine, where no proxy helps.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.base)
    }

    /// The address for messages.
    pub(crate) fn name(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// Whether bytes may be fetched from there: over TLS, or without leaving the machine.
fn is_allowed(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str().is_some() || url.scheme() == "http" && is_loopback(url)
}

/// Whether `from` may send us on to `to`: never from TLS to plain text, nor from another machine to this one.
pub(crate) fn may_redirect(from: &Url, to: &Url) -> bool {
    is_allowed(to) && (from.scheme() == "http" || to.scheme() == "https" && !is_loopback(to))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_never_leaves_the_machine() {
        for text in [
            "http://huggingface.co",
            "http://10.0.0.1",
            "ftp://localhost",
            "file:///etc",
            "huggingface.co",
            "https://u:p@h",
            "https://h/?x",
            "http://localhost.example.com",
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
        for text in [
            "https://huggingface.co",
            "http://127.0.0.1:80/",
            "http://[::1]:8080/hub/",
            "http://localhost",
        ] {
            Endpoint::parse(text).expect(text);
        }
    }

    #[test]
    fn the_path_of_a_file_is_the_hubs() {
        let file = |base: &str| {
            let endpoint = Endpoint::parse(base).expect("an endpoint");
            let names = ("a/b".parse(), "1.0+x".parse(), "onnx/m.onnx_data".parse());
            let (Ok(repo), Ok(revision), Ok(path)) = names else {
                panic!("names")
            };
            endpoint.file(&repo, &revision, &path).expect("a URL").to_string()
        };
        assert_eq!(
            file("https://huggingface.co"),
            "https://huggingface.co/a/b/resolve/1.0+x/onnx/m.onnx_data"
        );
        assert_eq!(
            file("https://mirror.example/api/hf/"),
            "https://mirror.example/api/hf/a/b/resolve/1.0+x/onnx/m.onnx_data"
        );
    }

    #[test]
    fn a_hub_cannot_send_us_back_home_or_into_plain_text() {
        let url = |text: &str| Url::parse(text).expect("an address");
        let hub = url("https://huggingface.co");
        assert!(may_redirect(&hub, &url("https://cdn.example/x")));
        for bad in [
            "http://cdn.example/x",
            "http://127.0.0.1/x",
            "https://127.0.0.1/x",
            "file:///etc/passwd",
        ] {
            assert!(!may_redirect(&hub, &url(bad)), "{bad}");
        }
        assert!(may_redirect(
            &url("http://127.0.0.1:1/a"),
            &url("http://127.0.0.1:2/b")
        ));
    }
}
