//! Which addresses may be asked for: scheme, host and port, before any name is resolved.

use polyphony_error::{Fault, Kind};
use reqwest::Url;
use reqwest::header::HeaderValue;

use super::{FIELD, shown};

/// The hosts that documents may be fetched from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    allowed: Vec<Host>,
    http: bool,
}

/// An entry of `rag.uri_hosts` that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no host; write \"docs.example.org\", \"*.example.org\" or \"docs.example.org:8443\"")]
pub(crate) struct WrongHost(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    /// In lower case, without "*".
    name: String,
    /// It is a domain whose hosts are meant, and not itself.
    is_domain: bool,
    /// None: that of the scheme.
    port: Option<u16>,
}

/// An address that may be asked for.
#[derive(Debug, Clone)]
pub(super) struct Target {
    url: Url,
    host: String,
    port: u16,
}

/// The longest address, in bytes.
const LONGEST: usize = 2_048;

// === impl Hosts ===

impl Hosts {
    /// Parses the entries of `rag.uri_hosts`; `http` allows it beside https.
    ///
    /// # Errors
    /// The first that is no host.
    pub(crate) fn parse(entries: &[String], http: bool) -> Result<Self, WrongHost> {
        let allowed = entries
            .iter()
            .map(|entry| host(entry).ok_or_else(|| WrongHost(entry.clone())));
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
            http,
        })
    }

    /// Whether nothing is allowed.
    pub(crate) fn is_empty(&self) -> bool {
        self.allowed.is_empty()
    }

    /// An address in the words of a client.
    pub(super) fn target(&self, address: &str) -> Result<Target, Fault> {
        if self.is_empty() {
            return Err(denied(
                "no host is allowed here; send the bytes, or set rag.uri_hosts",
            ));
        }
        if address.len() > LONGEST {
            return Err(Fault::invalid(FIELD, "must have at most 2048 bytes"));
        }
        let url = Url::parse(address).map_err(|_| Fault::invalid(FIELD, "is not an address"))?;
        self.check(url)
    }

    /// Whether an address may be asked for.
    pub(super) fn check(&self, url: Url) -> Result<Target, Fault> {
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            "http" => return Err(denied("http is not allowed; use https, or set rag.uri_http")),
            _ => return Err(denied("only https is allowed")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denied("it must not hold a user or password"));
        }
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_ascii_lowercase();
        let port = url.port_or_known_default().unwrap_or_default();
        let is_allowed = self.allowed.iter().any(|allowed| {
            let is_host = if allowed.is_domain {
                host.strip_suffix(&allowed.name)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            } else {
                host == allowed.name
            };
            let is_port = match allowed.port {
                Some(allowed) => allowed == port,
                None => url.port().is_none(),
            };
            is_host && is_port
        });
        if host.is_empty() || !is_allowed {
            return Err(denied(&format!(
                "the host \"{}\" is not in rag.uri_hosts",
                shown(&url)
            )));
        }
        Ok(Target { url, host, port })
    }
}

fn host(entry: &str) -> Option<Host> {
    let entry = entry.trim().to_ascii_lowercase();
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port != 0)?)),
        None => (entry.as_str(), None),
    };
    let (name, is_domain) = match name.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (name, false),
    };
    // A domain of one part is half of the world.
    let is_wide = is_domain && !name.contains('.');
    let is_name = !name.is_empty()
        && HeaderValue::from_str(name).is_ok()
        && name.split('.').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    (is_name && !is_wide).then(|| Host {
        name: name.to_owned(),
        is_domain,
        port,
    })
}

// === impl Target ===

impl Target {
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// In lower case, without a dot at its end.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

pub(super) fn denied(why: &str) -> Fault {
    let fault = Fault::new(
        Kind::PermissionDenied,
        "URI_NOT_ALLOWED",
        format!("{FIELD}: {why}"),
    );
    fault.and_invalid(FIELD, "is not allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_hosts_with_or_without_a_port() {
        let parsed = |entry: &str| Hosts::parse(&[entry.to_owned()], false);
        for entry in [
            "docs.example.org",
            "*.example.org",
            "Docs.Example.org:8443",
            "localhost:9000",
        ] {
            parsed(entry).expect("a host");
        }
        for entry in [
            "",
            "*",
            "*.org",
            "https://a.org",
            "a.org/x",
            "a.org:0",
            "a.org:x",
            "a..org",
            "[::1]",
            "a b",
        ] {
            assert_eq!(parsed(entry).expect_err("no host"), WrongHost(entry.to_owned()));
        }
    }

    #[test]
    fn a_domain_has_its_hosts_and_not_others_that_end_like_it() {
        let entries = ["*.example.org".to_owned(), "docs.test:8443".to_owned()];
        let hosts = Hosts::parse(&entries, false).expect("hosts");
        for good in [
            "https://a.example.org/x",
            "https://A.B.example.org.",
            "https://docs.test:8443/x?y#z",
        ] {
            hosts.target(good).expect("allowed");
        }
        for bad in [
            "https://example.org",
            "https://evilexample.org",
            "https://example.org.evil.net",
            "https://a.example.org:8443",
            "https://docs.test",
            "http://a.example.org",
        ] {
            assert_eq!(
                hosts.target(bad).expect_err("refused").kind,
                Kind::PermissionDenied,
                "{bad}"
            );
        }
    }
}
