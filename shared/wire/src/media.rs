//! `Media`: the bytes of a request; references to them are refused by name until there is something behind them.

use polyphony_error::{Fault, Kind};
use polyphony_proto::types::v1 as types;
use prost::bytes::Bytes;

/// The bytes of media; others than inline ones are refused by name. `path` is that of the media in the request, and
/// `what` says what is missing, as "the recording".
///
/// # Errors
/// INVALID_ARGUMENT without bytes, UNIMPLEMENTED for a blob, PERMISSION_DENIED for a URI.
pub fn inline(media: Option<types::Media>, path: &str, what: &str) -> Result<Bytes, Fault> {
    use types::media::Source;
    match media.and_then(|types::Media { source }| source) {
        None => {
            let description = format!("must be set; put the bytes of {what} into inline");
            Err(Fault::invalid(path.to_owned(), description))
        }
        Some(Source::Inline(bytes)) if bytes.is_empty() => {
            let description = format!("is empty; put the bytes of {what} into it");
            Err(Fault::invalid(format!("{path}.inline"), description).with_reason("EMPTY_MEDIA"))
        }
        Some(Source::Inline(bytes)) => Ok(bytes),
        Some(Source::BlobDigest(_)) => {
            let message = format!("{path}.blob_digest: there is no blob store here; send the bytes inline");
            Err(Fault::unimplemented("BLOB_STORE_ABSENT", message)
                .and_invalid(format!("{path}.blob_digest"), "is not supported"))
        }
        Some(Source::Uri(_)) => {
            let message = format!("{path}.uri: no scheme or host is allowed here; send the bytes inline");
            let fault = Fault::new(Kind::PermissionDenied, "URI_NOT_ALLOWED", message);
            Err(fault.and_invalid(format!("{path}.uri"), "is not allowed"))
        }
    }
}
