//! Small answers of the contract in the words of a command.

use std::time::Duration;

use polyphony_proto::time;
use polyphony_proto::types::v1::Receipt;

/// A remark when a fallback was taken: nothing degrades silently.
pub(crate) fn degraded(receipt: Receipt) -> Option<String> {
    receipt
        .degraded
        .map(|degraded| format!("note: {}", degraded.message))
}

/// An offset of the wire; absent and negative ones are 0.
pub(crate) fn duration(offset: Option<prost_types::Duration>) -> Duration {
    offset
        .and_then(|offset| time::from_wire(&offset).ok())
        .unwrap_or_default()
}
