//! `polyphony rag ingest`: files into a space, those that are there with the same content left out.

use std::collections::HashMap;
use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use polyphony_proto::rag::v1::watch_ingest_response::Result as Ended;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::tally::Tally;
use super::walk::{Found, Walk, walk};
use super::{Client, PIECE, connect, id};
use crate::args::{Ingest, Mesh};
use crate::output;

/// Files and bytes of one call: it is acknowledged as a whole, so what is lost with a broken connection is bounded.
const CALL_FILES: usize = 100;
const CALL_BYTES: u64 = 128 << 20;
/// Messages that are read ahead of the connection.
const AHEAD: usize = 8;
/// A service that says nothing for so long, and is not there, is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before an ingestion is watched anew.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(mesh: &Mesh, json: bool, space: &str, args: Ingest) -> anyhow::Result<ExitCode> {
    let Walk { files, skipped } = walk(&args.paths)?;
    let mut client = connect(mesh).await?;
    make_space(&mut client, space).await?;
    let mut tally = Tally {
        skipped: skipped.len(),
        ..Tally::default()
    };
    for (path, why) in &skipped {
        if json {
            output::object(&json!({ "path": path, "state": "skipped", "error": why }))?;
        } else {
            output::remark(&format!("skipped {}: {why}", path.display()));
        }
    }
    let name = format!("spaces/{space}");
    let limits = client
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await?
        .into_inner();
    let there = there(&mut client, &name).await?;
    let mut wanted = Vec::new();
    for found in files {
        if found.bytes > limits.max_document_bytes {
            let why = format!("it is larger than {} MiB", limits.max_document_bytes >> 20);
            tally.fail(json, &found, &why)?;
        } else if is_there(&found, &there)? {
            tally.unchanged += 1;
            if json {
                output::object(&json!({ "path": found.path, "state": "unchanged" }))?;
            }
        } else {
            wanted.push(found);
        }
    }
    let bar = bar(wanted.len() as u64, json);
    let mut operations = Vec::new();
    for files in calls(wanted) {
        bar.set_message(format!("sending {}", files[0].source_uri));
        let operation = send(&mut client, &name, &args, &files).await?;
        operations.push((operation, files));
    }
    for (operation, files) in operations {
        let response = finished(&mut client, &operation, &bar).await?;
        bar.suspend(|| tally.take(json, &files, response))?;
    }
    bar.finish_and_clear();
    tally.tell(json, space)?;
    if tally.failed > 0 {
        bail!("{} of the documents could not be taken in", tally.failed);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the space if it is not there.
async fn make_space(client: &mut Client, space: &str) -> anyhow::Result<()> {
    let name = format!("spaces/{space}");
    match client.get_space(pb::GetSpaceRequest { name: name.clone() }).await {
        Ok(_) => return Ok(()),
        Err(status) if status.code() == Code::NotFound => {}
        Err(status) => return Err(status.into()),
    }
    let made = client
        .create_space(pb::CreateSpaceRequest {
            space_id: space.to_owned(),
            ..pb::CreateSpaceRequest::default()
        })
        .await;
    match made {
        Ok(_) => output::remark(&format!("made the space \"{space}\"")),
        // Somebody else was faster.
        Err(status) if status.code() == Code::AlreadyExists => {}
        Err(status) => return Err(status.into()),
    }
    Ok(())
}

/// The digests of the documents that are there and did not fail, by where they come from.
async fn there(client: &mut Client, name: &str) -> anyhow::Result<HashMap<String, String>> {
    let mut there = HashMap::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListDocumentsRequest {
            parent: name.to_owned(),
            page_size: 1_000,
            page_token,
            ..pb::ListDocumentsRequest::default()
        };
        let page = client.list_documents(request).await?.into_inner();
        for document in page.documents {
            if document.state() != pb::DocumentState::Failed {
                there.insert(document.source_uri, document.content_digest);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(there);
        }
    }
}

/// Whether a file is there with the same content.
fn is_there(found: &Found, there: &HashMap<String, String>) -> anyhow::Result<bool> {
    let Some(known) = there.get(&found.source_uri) else {
        return Ok(false);
    };
    let cannot = || format!("cannot read {}", found.path.display());
    let mut file = File::open(&found.path).with_context(cannot)?;
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut Hasher(&mut digest)).with_context(cannot)?;
    Ok(*known == format!("sha256:{}", hexadecimal(&digest.finalize())))
}

/// Takes what is written into a digest.
struct Hasher<'a>(&'a mut Sha256);

impl io::Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files by the call that takes them.
fn calls(files: Vec<Found>) -> Vec<Vec<Found>> {
    let mut calls: Vec<Vec<Found>> = Vec::new();
    let mut bytes = 0;
    for found in files {
        match calls.last_mut() {
            Some(call) if call.len() < CALL_FILES && bytes + found.bytes <= CALL_BYTES => {
                bytes += found.bytes;
                call.push(found);
            }
            _ => {
                bytes = found.bytes;
                calls.push(vec![found]);
            }
        }
    }
    calls
}

/// Sends files, and gives the name of the operation that takes them in.
async fn send(client: &mut Client, space: &str, args: &Ingest, files: &[Found]) -> anyhow::Result<String> {
    let (messages, receiver) = mpsc::channel(AHEAD);
    let config = pb::IngestConfig {
        space: space.to_owned(),
        tags: args.tags.clone(),
        ..pb::IngestConfig::default()
    };
    let heads: Vec<(Found, pb::DocumentHead)> = files
        .iter()
        .map(|found| {
            let head = pb::DocumentHead {
                source_uri: found.source_uri.clone(),
                doc_type: args.doc_type.clone().unwrap_or_default(),
                language_code: args.language.clone().unwrap_or_default(),
                ..pb::DocumentHead::default()
            };
            (found.clone(), head)
        })
        .collect();
    let reading = tokio::task::spawn_blocking(move || read(config, heads, &messages));
    let taken = client.ingest(ReceiverStream::new(receiver)).await;
    // Why a file could not be read says more than what the mesh made of it.
    reading.await??;
    Ok(taken?.into_inner().name)
}

fn read(
    config: pb::IngestConfig,
    files: Vec<(Found, pb::DocumentHead)>,
    messages: &mpsc::Sender<pb::IngestRequest>,
) -> anyhow::Result<()> {
    // Where nobody reads any more, the call says why.
    let send = |message: Message| {
        let request = Some(message);
        messages.blocking_send(pb::IngestRequest { request }).is_ok()
    };
    if !send(Message::Config(config)) {
        return Ok(());
    }
    for (found, head) in files {
        let cannot = || format!("cannot read {}", found.path.display());
        let mut file = File::open(&found.path).with_context(cannot)?;
        if !send(Message::Document(head)) {
            return Ok(());
        }
        loop {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece).with_context(cannot)?;
            if length == 0 {
                break;
            }
            piece.truncate(length);
            if !send(Message::Content(piece.into())) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Waits for an ingestion and shows how far it is. It outlives its service, so a service that goes away is waited for.
async fn finished(client: &mut Client, name: &str, bar: &ProgressBar) -> anyhow::Result<pb::IngestResponse> {
    let begun = bar.position();
    let mut heard = Instant::now();
    loop {
        match watched(client, name, begun, bar, &mut heard).await {
            Ok(Some(Ended::Response(response))) => return Ok(response),
            Ok(Some(Ended::Error(error))) => bail!("the ingestion failed: {}", error.message),
            Ok(None) => bail!("the ingestion broke off; run the command again, it goes on where it was"),
            Err(status) if is_away(&status) && heard.elapsed() < PATIENCE => {
                bar.set_message("waiting for the service");
            }
            Err(status) => return Err(status.into()),
        }
        sleep(PAUSE).await;
    }
}

/// Whether the service, or the door before it, is not there.
fn is_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// Watches an ingestion to its end, or to that of the stream.
async fn watched(
    client: &mut Client,
    name: &str,
    begun: u64,
    bar: &ProgressBar,
    heard: &mut Instant,
) -> Result<Option<Ended>, Status> {
    let watch = pb::WatchIngestRequest {
        name: name.to_owned(),
    };
    let mut watched = client.watch_ingest(watch).await?.into_inner();
    while let Some(news) = watched.message().await? {
        *heard = Instant::now();
        let pb::WatchIngestResponse { metadata, result } = news;
        let now = metadata.unwrap_or_default();
        bar.set_position(begun + u64::from(now.ready_documents + now.failed_documents));
        bar.set_message(id(&now.current_document).to_owned());
        if result.is_some() {
            return Ok(result);
        }
    }
    Ok(None)
}

fn bar(files: u64, json: bool) -> ProgressBar {
    let target = if json || !output::is_watched() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(files), target);
    if let Ok(style) = ProgressStyle::with_template("{pos:>6}/{len:6} [{bar:30}] {eta:>4} {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, bytes: u64) -> Found {
        Found {
            path: name.into(),
            source_uri: name.to_owned(),
            bytes,
        }
    }

    #[test]
    fn calls_are_bounded_in_files_and_bytes() {
        let many = calls((0..250).map(|at| found(&at.to_string(), 1)).collect());
        let sizes: Vec<usize> = many.iter().map(Vec::len).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let large = calls(vec![
            found("a", CALL_BYTES),
            found("b", 1),
            found("c", CALL_BYTES),
        ]);
        assert_eq!(large.len(), 3);
        assert!(calls(Vec::new()).is_empty());
    }

    #[test]
    fn a_file_is_there_if_its_bytes_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        std::fs::write(&path, b"hello").expect("written");
        let file = Found {
            path,
            ..found("a.txt", 5)
        };
        let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let known = |digest: &str| HashMap::from([("a.txt".to_owned(), digest.to_owned())]);
        assert!(is_there(&file, &known(digest)).expect("read"));
        assert!(!is_there(&file, &known("sha256:00")).expect("read"));
        assert!(!is_there(&file, &HashMap::new()).expect("read"));
    }
}
