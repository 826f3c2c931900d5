//! What is known of each method: whether it streams, and the labels it is measured by.
//!
//! Only known methods get labels of their own, or a caller could make up as many as the metrics store can bear.

use std::collections::HashMap;
use std::sync::Arc;

use prost_types::FileDescriptorProto;

use crate::metrics::Method;

/// The methods that a server answers, by path.
#[derive(Debug)]
pub(crate) struct Methods {
    known: HashMap<String, Known>,
    unknown: Method,
}

#[derive(Debug)]
struct Known {
    labels: Method,
    unary: bool,
}

// === impl Methods ===

impl Methods {
    /// The methods of all services in these files.
    pub(crate) fn of<'a>(files: impl Iterator<Item = &'a FileDescriptorProto>) -> Self {
        let mut known = HashMap::new();
        for file in files {
            for service in &file.service {
                let full: Arc<str> = full_name(file.package(), service.name()).into();
                for method in &service.method {
                    let kind = match (method.client_streaming(), method.server_streaming()) {
                        (false, false) => "unary",
                        (true, false) => "client_stream",
                        (false, true) => "server_stream",
                        (true, true) => "bidi_stream",
                    };
                    let labels = Method {
                        service: Arc::clone(&full),
                        name: method.name().into(),
                        kind,
                    };
                    let unary = kind == "unary";
                    known.insert(format!("/{full}/{}", method.name()), Known { labels, unary });
                }
            }
        }
        let unknown = Method {
            service: "unknown".into(),
            name: "unknown".into(),
            kind: "unknown",
        };
        Self { known, unknown }
    }

    pub(crate) fn labels(&self, path: &str) -> &Method {
        self.known.get(path).map_or(&self.unknown, |known| &known.labels)
    }

    /// Whether one message goes each way. Unknown methods are, for they are answered with one error.
    pub(crate) fn is_unary(&self, path: &str) -> bool {
        self.known.get(path).is_none_or(|known| known.unary)
    }
}

pub(super) fn full_name(package: &str, name: &str) -> String {
    if package.is_empty() {
        name.to_owned()
    } else {
        format!("{package}.{name}")
    }
}
