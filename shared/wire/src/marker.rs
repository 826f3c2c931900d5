//! `Marker`: a point in a stream that the client wants to hear of.

use polyphony_error::Fault;
use polyphony_proto::types::v1 as types;

/// The longest name of a marker, in bytes.
const LONGEST: usize = 128;

/// The name of a marker.
///
/// # Errors
/// INVALID_ARGUMENT for one that is too long.
pub fn marker(marker: types::Marker) -> Result<String, Fault> {
    let types::Marker { id } = marker;
    if id.len() > LONGEST {
        return Err(Fault::invalid("marker.id", "must be at most 128 bytes"));
    }
    Ok(id)
}
