//! `polyphony rag export` and `import`: a space as a file.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::export_space_response::Event;
use polyphony_proto::rag::v1::import_space_request::Request as Message;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::ingest::hexadecimal;
use super::{PIECE, connect, spaces};
use crate::args::Mesh;
use crate::output;
use crate::whole_file::WholeFile;

/// Messages that are read ahead of the connection.
const AHEAD: usize = 8;

pub(super) async fn export(
    mesh: &Mesh,
    json: bool,
    space: String,
    output: &Path,
    omit_vectors: bool,
) -> anyhow::Result<ExitCode> {
    let mut rag = connect(mesh).await?;
    let request = pb::ExportSpaceRequest {
        name: space,
        omit_vectors,
    };
    let mut pieces = rag.export_space(request).await?.into_inner();
    let mut file = WholeFile::create(output)?;
    let (mut digest, mut size) = (Sha256::new(), 0_u64);
    let mut end = None;
    while let Some(piece) = pieces.message().await? {
        match piece.event {
            Some(Event::Content(bytes)) => {
                digest.update(&bytes);
                size += bytes.len() as u64;
                file.write_all(&bytes)
                    .with_context(|| format!("cannot write {}", output.display()))?;
            }
            Some(Event::End(said)) => end = Some(said),
            None => {}
        }
    }
    let Some(end) = end else {
        bail!("the archive broke off: the mesh ended it without saying how");
    };
    let digest = format!("sha256:{}", hexadecimal(&digest.finalize()));
    ensure!(
        end.size_bytes == size && end.digest == digest,
        "the archive is not what the mesh says it sent; try again"
    );
    file.keep()?;
    if json {
        output::object(&json!({ "file": output, "sizeBytes": size, "digest": digest }))?;
    } else {
        output::line(&format!("{}: {size} bytes, {digest}", output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn import(
    mesh: &Mesh,
    json: bool,
    file: &Path,
    id: Option<String>,
) -> anyhow::Result<ExitCode> {
    let mut rag = connect(mesh).await?;
    let source = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (messages, receiver) = mpsc::channel(AHEAD);
    let config = pb::ImportSpaceConfig {
        space_id: id.unwrap_or_default(),
        request_id: String::new(),
    };
    let reading = tokio::task::spawn_blocking(move || read(source, config, &messages));
    let made = rag.import_space(ReceiverStream::new(receiver)).await;
    reading
        .await?
        .with_context(|| format!("cannot read {}", file.display()))?;
    spaces::tell(&made?.into_inner().space.unwrap_or_default(), json)?;
    Ok(ExitCode::SUCCESS)
}

fn read(
    mut source: File,
    config: pb::ImportSpaceConfig,
    messages: &mpsc::Sender<pb::ImportSpaceRequest>,
) -> std::io::Result<()> {
    // Where nobody reads any more, the call says why.
    let send = |message: Message| {
        let request = Some(message);
        messages.blocking_send(pb::ImportSpaceRequest { request }).is_ok()
    };
    if !send(Message::Config(config)) {
        return Ok(());
    }
    let (mut digest, mut size) = (Sha256::new(), 0);
    loop {
        let mut piece = vec![0; PIECE];
        let length = source.read(&mut piece)?;
        if length == 0 {
            break;
        }
        piece.truncate(length);
        digest.update(&piece);
        size += length as u64;
        if !send(Message::Content(piece.into())) {
            return Ok(());
        }
    }
    send(Message::End(pb::ArchiveEnd {
        size_bytes: size,
        digest: format!("sha256:{}", hexadecimal(&digest.finalize())),
    }));
    Ok(())
}
