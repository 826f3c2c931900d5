//! Routes: from the path of a call to the cluster that serves it, and how long it may last.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::{Error, HeaderMatch};

/// Where calls go that match a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it matches.
    pub rule: Rule,
    /// Of that, only calls with this header. None: all.
    pub header: Option<HeaderMatch>,
    /// The name of the cluster.
    pub cluster: String,
    /// How long calls may last.
    pub timeouts: Timeouts,
}

/// What a route matches, from the most specific to the least.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// One method of one service.
    Method(String, String),
    /// Every method of one service, as `polyphony.asr.v1.SpeechService`.
    Service(String),
    /// Every service whose full name begins so, as `polyphony.asr.v1.`.
    Prefix(String),
    /// Everything.
    Any,
}

/// The limits of time on a call. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The client's own deadline is cut to this; without one it does nothing (Envoy's `grpc_timeout_header_max`).
    pub max: Option<Duration>,
    /// The deadline of a unary call whose client set none.
    pub unary: Option<Duration>,
    /// A call on which nothing moves either way for this long ends.
    pub idle: Option<Duration>,
    /// No call lasts longer, streams included (Envoy's `max_stream_duration`).
    pub duration: Option<Duration>,
}

/// Routes, ready for lookup. `T` is what a lookup returns.
#[derive(Debug, Clone)]
pub struct RouteTable<T = Route> {
    services: HashMap<Box<str>, Service<T>>,
    /// The longest first.
    prefixes: Vec<(Box<str>, T)>,
    any: Option<T>,
    /// Those with a header, which come before the others, in the order of writing.
    narrowed: Vec<(Rule, HeaderMatch, T)>,
}

/// The rules that name one service.
#[derive(Debug, Clone)]
struct Service<T> {
    methods: Vec<(Box<str>, T)>,
    all: Option<T>,
}

/// Splits `/package.Service/Method` into service and method; `None` for any other path.
pub fn split_path(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some((service, method))
}

// === impl Rule ===

impl Rule {
    /// Reads a rule as it is written: a full service name, a prefix that ends in `.`, or `*`.
    pub fn parse(service: &str, method: Option<&str>) -> Result<Self, Error> {
        let is_name = |name: &str| {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
            !name.is_empty() && name.bytes().all(legal) && !name.starts_with('.') && !name.contains("..")
        };
        let rule = match service {
            "*" => Self::Any,
            _ if !is_name(service) => {
                return Err(Error::InvalidRule {
                    service: service.to_owned(),
                });
            }
            _ if service.ends_with('.') => Self::Prefix(service.to_owned()),
            _ => Self::Service(service.to_owned()),
        };
        match (rule, method) {
            (rule, None) => Ok(rule),
            (Self::Service(service), Some(method)) if is_name(method) && !method.contains('.') => {
                Ok(Self::Method(service, method.to_owned()))
            }
            (_, Some(method)) => Err(Error::InvalidMethod {
                service: service.to_owned(),
                method: method.to_owned(),
            }),
        }
    }
}

impl Rule {
    fn matches(&self, service: &str, method: &str) -> bool {
        match self {
            Self::Method(own, only) => own == service && only == method,
            Self::Service(own) => own == service,
            Self::Prefix(prefix) => service.starts_with(prefix.as_str()),
            Self::Any => true,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(service, method) => write!(f, "{service}/{method}"),
            Self::Service(name) | Self::Prefix(name) => f.write_str(name),
            Self::Any => f.write_str("*"),
        }
    }
}

// === impl Timeouts ===

impl Timeouts {
    /// How long a call may take, from what its client asked for. `unary` says that it is known to be unary.
    pub fn deadline(&self, asked: Option<Duration>, unary: bool) -> Option<Duration> {
        match (asked, self.max) {
            (Some(asked), Some(max)) => Some(asked.min(max)),
            (Some(asked), None) => Some(asked),
            (None, _) if unary => self.unary,
            (None, _) => None,
        }
    }
}

// === impl RouteTable ===

impl RouteTable {
    /// Puts routes in order of lookup.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateRoute`] if two routes have the same rule.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self, Error> {
        let mut table = Self::default();
        for route in routes {
            let rule = route.rule.clone();
            let second = route.cluster.clone();
            let known = match route.header.clone() {
                Some(header) => table.narrow(rule.clone(), header, route),
                None => table.insert(&rule, route),
            };
            if let Some(first) = known {
                return Err(Error::DuplicateRoute {
                    rule: rule.to_string(),
                    first: first.cluster,
                    second,
                });
            }
        }
        Ok(table)
    }
}

impl<T> RouteTable<T> {
    /// The most specific entry for a path: the method's, the service's, the longest prefix's, then `*`.
    pub fn find(&self, path: &str) -> Option<&T> {
        let (service, method) = split_path(path)?;
        self.lookup(service, Some(method))
    }

    /// As [`find`](Self::find), of a call whose headers are known: `header` tells the value of one.
    pub fn find_for<'a>(&self, path: &str, header: impl Fn(&str) -> Option<&'a str>) -> Option<&T> {
        let (service, method) = split_path(path)?;
        let narrowed = self
            .narrowed
            .iter()
            .find(|(rule, only, _)| rule.matches(service, method) && only.is_met(&header));
        narrowed
            .map(|(_, _, entry)| entry)
            .or_else(|| self.lookup(service, Some(method)))
    }

    /// The entry for a service as a whole.
    pub fn find_service(&self, service: &str) -> Option<&T> {
        self.lookup(service, None)
    }

    /// The same table with other entries.
    pub fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> RouteTable<U> {
        let services = self.services.iter().map(|(name, service)| {
            let methods = service
                .methods
                .iter()
                .map(|(method, entry)| (method.clone(), f(entry)));
            let mapped = Service {
                methods: methods.collect(),
                all: service.all.as_ref().map(&mut f),
            };
            (name.clone(), mapped)
        });
        let services = services.collect();
        let prefixes = self
            .prefixes
            .iter()
            .map(|(prefix, entry)| (prefix.clone(), f(entry)));
        let prefixes = prefixes.collect();
        let any = self.any.as_ref().map(&mut f);
        let narrowed = self.narrowed.iter();
        let narrowed = narrowed.map(|(rule, header, entry)| (rule.clone(), header.clone(), f(entry)));
        RouteTable {
            services,
            prefixes,
            any,
            narrowed: narrowed.collect(),
        }
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let services = self.services.values();
        let exact =
            services.flat_map(|service| service.methods.iter().map(|(_, entry)| entry).chain(&service.all));
        exact
            .chain(self.prefixes.iter().map(|(_, entry)| entry))
            .chain(&self.any)
            .chain(self.narrowed.iter().map(|(_, _, entry)| entry))
    }

    fn lookup(&self, service: &str, method: Option<&str>) -> Option<&T> {
        if let Some(rules) = self.services.get(service) {
            let wanted = method.and_then(|method| rules.methods.iter().find(|(name, _)| **name == *method));
            let found = wanted.map(|(_, entry)| entry).or(rules.all.as_ref());
            if found.is_some() {
                return found;
            }
        }
        let prefix = self
            .prefixes
            .iter()
            .find(|(prefix, _)| service.starts_with(&**prefix));
        prefix.map(|(_, entry)| entry).or(self.any.as_ref())
    }

    /// Adds an entry for calls with a header and returns the one that was there.
    fn narrow(&mut self, rule: Rule, header: HeaderMatch, entry: T) -> Option<T> {
        let mut all = self.narrowed.iter_mut();
        if let Some((_, _, old)) = all.find(|(known, only, _)| *known == rule && *only == header) {
            return Some(std::mem::replace(old, entry));
        }
        self.narrowed.push((rule, header, entry));
        None
    }

    /// Adds an entry and returns the one that was there.
    fn insert(&mut self, rule: &Rule, entry: T) -> Option<T> {
        match rule {
            Rule::Method(service, method) => {
                let methods = &mut self.services.entry(service.as_str().into()).or_default().methods;
                let found = methods.iter_mut().find(|(name, _)| **name == **method);
                if let Some((_, old)) = found {
                    return Some(std::mem::replace(old, entry));
                }
                methods.push((method.as_str().into(), entry));
                None
            }
            Rule::Service(service) => {
                let service = self.services.entry(service.as_str().into()).or_default();
                service.all.replace(entry)
            }
            Rule::Prefix(prefix) => {
                let found = self.prefixes.iter_mut().find(|(known, _)| **known == **prefix);
                if let Some((_, old)) = found {
                    return Some(std::mem::replace(old, entry));
                }
                let at = self
                    .prefixes
                    .partition_point(|(known, _)| known.len() >= prefix.len());
                self.prefixes.insert(at, (prefix.as_str().into(), entry));
                None
            }
            Rule::Any => self.any.replace(entry),
        }
    }
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self {
            services: HashMap::new(),
            prefixes: Vec::new(),
            any: None,
            narrowed: Vec::new(),
        }
    }
}

// === impl Service ===

impl<T> Default for Service<T> {
    fn default() -> Self {
        Self {
            methods: Vec::new(),
            all: None,
        }
    }
}

#[cfg(test)]
mod tests;
