//! Fetching a video: into a file beside its place, which keeps what is there of it when it is interrupted, and is named for
//! its digest; checked, and then put into its place.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use polyphony_proto::video::v1 as pb;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Client;
use crate::output;

pub(super) async fn to_file(
    client: &mut Client,
    as_json: bool,
    name: &str,
    place: &Path,
) -> anyhow::Result<()> {
    let request = pb::GetVideoRequest {
        name: name.to_owned(),
    };
    let video = client.get_video(request).await?.into_inner();
    let Some(file) = video.file else {
        bail!("{name} has no file; `polyphony video watch {name}` tells when it has");
    };
    let part = part(place, &file.digest)?;
    let cannot = || format!("cannot write {}", part.display());
    let mut out = File::options()
        .create(true)
        .append(true)
        .open(&part)
        .with_context(cannot)?;
    let there = out.metadata().with_context(cannot)?.len();
    // More than there is cannot be the beginning of it.
    let start = if there > file.size_bytes { 0 } else { there };
    out.set_len(start).with_context(cannot)?;
    let bar = bar(as_json, file.size_bytes);
    bar.set_position(start);
    let request = pb::DownloadVideoRequest {
        name: name.to_owned(),
        start_byte: start,
        expected_digest: file.digest.clone(),
    };
    let mut pieces = client.download_video(request).await?.into_inner();
    while let Some(piece) = pieces.message().await? {
        out.write_all(&piece.content).with_context(cannot)?;
        bar.inc(piece.content.len() as u64);
    }
    bar.finish_and_clear();
    out.sync_all().with_context(cannot)?;
    drop(out);
    if digest(&part).with_context(cannot)? != file.digest {
        drop(fs::remove_file(&part));
        bail!("what came of {name} is not what the mesh has; download it again");
    }
    fs::rename(&part, place).with_context(|| format!("cannot write {}", place.display()))?;
    if as_json {
        return output::object(&json!({
            "video": name,
            "file": place,
            "sizeBytes": file.size_bytes,
            "digest": file.digest,
            "resumedAt": start,
        }));
    }
    output::line(&place.display().to_string())
}

/// Where a download is kept until it is complete: a video that was made anew begins anew.
fn part(place: &Path, digest: &str) -> anyhow::Result<PathBuf> {
    let name = place
        .file_name()
        .context("a folder is no file")?
        .to_string_lossy();
    let digest: String = digest.trim_start_matches("sha256:").chars().take(16).collect();
    Ok(place.with_file_name(format!(".{name}.{digest}.part")))
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut digest, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    let text: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("sha256:{text}"))
}

fn bar(json: bool, bytes: u64) -> ProgressBar {
    if json || !output::is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
