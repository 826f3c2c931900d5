//! The payload of a job that goes on with a call: the id of the call, and the request as it came.

use std::io;

use polyphony_error::Fault;

/// A request behind the id of its call, of which the first 255 bytes are kept.
pub fn framed(call: &str, request: &[u8]) -> Vec<u8> {
    let call = &call.as_bytes()[..call.len().min(usize::from(u8::MAX))];
    let mut payload = Vec::with_capacity(1 + call.len() + request.len());
    payload.push(call.len() as u8);
    payload.extend_from_slice(call);
    payload.extend_from_slice(request);
    payload
}

/// The id of the call and the request of what [`framed`] made.
///
/// # Errors
/// INTERNAL for anything else.
pub fn parted(payload: &[u8]) -> Result<(&str, &[u8]), Fault> {
    let broken = || Fault::internal(io::Error::other("the payload of a job cannot be read"));
    let (length, rest) = payload.split_first().ok_or_else(broken)?;
    let (call, request) = rest.split_at_checked(usize::from(*length)).ok_or_else(broken)?;
    Ok((str::from_utf8(call).map_err(Fault::internal)?, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_is_parted_and_anything_else_refused() {
        assert_eq!(
            parted(&framed("id", b"request")).unwrap(),
            ("id", &b"request"[..])
        );
        let long = framed(&"x".repeat(300), b"y");
        assert_eq!(parted(&long).unwrap(), ("x".repeat(255).as_str(), &b"y"[..]));
        for payload in [&b""[..], b"\x05abc", b"\x01\xff"] {
            parted(payload).expect_err("no payload");
        }
    }
}
