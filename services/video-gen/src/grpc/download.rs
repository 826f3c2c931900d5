//! `DownloadVideo`: a file in pieces, from any offset.

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;

use futures_util::{Stream, stream};
use polyphony_error::{DOMAIN, Fault, Kind};
use polyphony_jobs::{Job, State};
use polyphony_proto::video::v1 as pb;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::convert;

/// What the client reads.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<pb::DownloadVideoResponse, Status>> + Send>>;

/// As the contract has it.
const PIECE: usize = 32 << 10;

/// A file that is being sent.
struct Sending {
    file: File,
    at: u64,
    total: u64,
    digest: String,
    first: bool,
}

pub(super) async fn open(
    job: &Job,
    path: &Path,
    start: u64,
    expected_digest: &str,
) -> Result<Pieces, Status> {
    let Some(film) = convert::video(job).file.filter(|_| job.state == State::Succeeded) else {
        let text = "it is not done, so there is no file; WatchVideo tells when it is";
        return Err(Fault::new(Kind::FailedPrecondition, "VIDEO_NOT_DONE", text).into());
    };
    let (total, digest) = (film.size_bytes, film.digest);
    if !expected_digest.is_empty() && expected_digest != digest {
        let text = format!("expected_digest: the file is {digest}; begin again at byte 0");
        return Err(Fault::new(Kind::Aborted, "VIDEO_CHANGED", text).into());
    }
    if start > total {
        let text = format!("start_byte: the file ends at byte {total}; begin at most there");
        let details = ErrorDetails::with_error_info("OFFSET_BEHIND_END", DOMAIN, HashMap::new());
        return Err(Status::with_error_details(Code::OutOfRange, text, details));
    }
    let mut file = opened(path, total).await?;
    file.seek(SeekFrom::Start(start)).await.map_err(Fault::internal)?;
    let sending = Sending {
        file,
        at: start,
        total,
        digest,
        first: true,
    };
    Ok(Box::pin(stream::try_unfold(sending, |mut sending| async move {
        let piece = sending.next().await.map_err(Fault::internal)?;
        Ok(piece.map(|piece| (piece, sending)))
    })))
}

/// The file, whole.
async fn opened(path: &Path, total: u64) -> Result<File, Fault> {
    let lost = |error: io::Error| {
        let text = "the file of this video is not whole on the disk of this server; servers that share a queue have to share \
                    jobs.data_dir, and else it has to be made anew";
        Fault::new(Kind::Internal, "VIDEO_FILE_LOST", text).because(error)
    };
    let file = File::open(path).await.map_err(lost)?;
    let length = file.metadata().await.map_err(lost)?.len();
    if length != total {
        return Err(lost(io::Error::other(format!(
            "{} has {length} of {total} bytes",
            path.display()
        ))));
    }
    Ok(file)
}

// === impl Sending ===

impl Sending {
    async fn next(&mut self) -> std::io::Result<Option<pb::DownloadVideoResponse>> {
        let mut content = Vec::with_capacity(PIECE);
        (&mut self.file)
            .take(PIECE as u64)
            .read_to_end(&mut content)
            .await?;
        // The first message tells the size and the digest, also of what is empty.
        let first = std::mem::take(&mut self.first);
        if content.is_empty() && !first {
            return Ok(None);
        }
        let start_byte = self.at;
        self.at += content.len() as u64;
        Ok(Some(pb::DownloadVideoResponse {
            start_byte,
            content: content.into(),
            total_bytes: if first { self.total } else { 0 },
            digest: if first { self.digest.clone() } else { String::new() },
        }))
    }
}
