//! A message that is too large is RESOURCE_EXHAUSTED, as gRPC's status codes and its conformance suite say.
//!
//! The limits are tonic's own, set by [`server!`](crate::server); up to 0.14 it answers them with OUT_OF_RANGE, which
//! a handler may also mean in earnest. The texts tell them apart.

use tonic::Code;

/// `ErrorInfo.reason` of a message over the limit.
const REASON: &str = "MESSAGE_TOO_LARGE";
/// What tonic 0.14 says of a message over the limit, received or sent.
const PLAIN: [&str; 2] = [
    "Error, decoded message length too large: ",
    "Error, encoded message length too large: ",
];
/// What it says of one that is over the limit only once decompressed.
const COMPRESSED: &str = "Error decompressing: size limit, of ";

/// The code, a reason if the code alone does not say it, and the message a caller should read.
pub(super) fn told_apart(code: Code, message: String) -> (Code, Option<&'static str>, String) {
    let plain = || PLAIN.iter().find_map(|prefix| message.strip_prefix(prefix));
    if code == Code::OutOfRange
        && let Some(numbers) = plain()
    {
        let message = format!("message too large: {numbers}");
        return (Code::ResourceExhausted, Some(REASON), message);
    }
    if code == Code::ResourceExhausted && message.starts_with(COMPRESSED) {
        return (code, Some(REASON), message);
    }
    (code, None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_limit_changes_its_code() {
        let text = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes".to_owned();
        let (code, reason, message) = told_apart(Code::OutOfRange, text);
        assert_eq!((code, reason), (Code::ResourceExhausted, Some(REASON)));
        assert_eq!(message, "message too large: found 5 bytes, the limit is: 4 bytes");

        let (code, reason, _) = told_apart(Code::OutOfRange, "page 9 of 3".to_owned());
        assert_eq!((code, reason), (Code::OutOfRange, None));
    }
}
