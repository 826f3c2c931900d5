//! A batch becomes a job: the request as it came, and the id of its call before it.

use std::time::Duration;

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use polyphony_jobs::{Job, NewJob, payload};
use polyphony_proto::asr::v1 as pb;
use prost::Message;

use super::wanted::Wanted;
use super::{Batches, FileState, told};

/// Takes a batch in, or finds the one of the same `request_id` and owner. When it returns, it is on the disk.
pub(crate) async fn submit(
    batches: &Batches,
    request: pb::BatchRecognizeRequest,
    caller: &Caller,
    call: &str,
    longest: Duration,
) -> Result<Job, Fault> {
    let owner = caller.owner().ok_or_else(|| {
        let text = "a certificate without a name can own no batch; give it a SPIFFE id or a DNS name";
        Fault::new(Kind::PermissionDenied, "NO_OWNER", text)
    })?;
    let encoded = request.encode_to_vec();
    let Wanted {
        request_id, files, ..
    } = Wanted::parse(request, longest)?;
    let states: Vec<FileState> = files.iter().map(FileState::of).collect();
    let new = NewJob {
        request_id,
        fingerprint: encoded.clone(),
        progress: told(&states),
        ..NewJob::new(owner, payload::framed(call, &encoded))
    };
    Ok(batches.queue().submit(new).await?.job)
}

/// A batch of a job, and the id of the call that asked for it.
pub(super) fn read(payload: &[u8], longest: Duration) -> Result<(Wanted, String), Fault> {
    let (call, encoded) = payload::parted(payload)?;
    let request = pb::BatchRecognizeRequest::decode(encoded).map_err(Fault::internal)?;
    Ok((Wanted::parse(request, longest)?, call.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_our_fault_and_no_panic() {
        for payload in [&b""[..], b"\x05abc", b"\x01\xff", b"\x00\xff\xff", b"\x00"] {
            read(payload, Duration::from_secs(1)).expect_err("no batch");
        }
    }
}
