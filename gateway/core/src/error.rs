//! What can be wrong with the routes and clusters that were written down. Every message names the key and the remedy.

/// The mesh as configured does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A route leads to a cluster that is not there.
    #[error(
        "`routes`: the route for `{rule}` names the cluster `{cluster}`, which is not defined; known: {known}"
    )]
    UnknownCluster {
        /// What the route matches.
        rule: String,
        /// The name that leads nowhere.
        cluster: String,
        /// The names that are defined.
        known: String,
    },
    /// Two routes match the same calls.
    #[error("`routes`: `{rule}` is routed twice, to `{first}` and to `{second}`; keep one")]
    DuplicateRoute {
        /// What both match.
        rule: String,
        /// The cluster of the first.
        first: String,
        /// The cluster of the second.
        second: String,
    },
    /// A rule that is neither a service, a prefix nor `*`.
    #[error(
        "`routes`: `{service}` is not a rule; write a full service name, a prefix that ends in `.`, or `*`"
    )]
    InvalidRule {
        /// What was written.
        service: String,
    },
    /// A method on a rule that is not one service.
    #[error("`routes`: `{service}` with method `{method}`; a method needs a full service name and no `/`")]
    InvalidMethod {
        /// The rule.
        service: String,
        /// The method.
        method: String,
    },
    /// A header that calls cannot have, or any text.
    #[error(
        "`routes`: the route for `{rule}` is for calls with the header `{header}`; write {{ name = \"x-name\", contains = \"text\" }}"
    )]
    InvalidHeader {
        /// What the route matches.
        rule: String,
        /// The name of the header.
        header: String,
    },
    /// An endpoint that is not host and port.
    #[error(
        "`clusters.{cluster}.endpoints`: `{address}` is not an address; write host:port, as 127.0.0.1:7001"
    )]
    InvalidAddress {
        /// The cluster.
        cluster: String,
        /// What was written.
        address: String,
    },
    /// The same endpoint twice in one cluster.
    #[error("`clusters.{cluster}.endpoints`: `{address}` is listed twice; give it a weight instead")]
    DuplicateEndpoint {
        /// The cluster.
        cluster: String,
        /// The address.
        address: String,
    },
    /// A number out of its range.
    #[error("`clusters.{cluster}.{key}`: {message}")]
    OutOfRange {
        /// The cluster.
        cluster: String,
        /// The key below it.
        key: &'static str,
        /// The range and the remedy.
        message: &'static str,
    },
}
