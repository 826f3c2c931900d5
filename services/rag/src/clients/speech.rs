//! Recordings that the asr service hears: what is said, and when.

use std::time::Duration;

use http::Uri;
use polyphony_chassis::config::ChannelConfig;
use polyphony_chassis::connect;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::types::v1 as types;
use polyphony_wire::duration;
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::{Code, Request, Status};

use super::{channel, fault, media_limits};
use crate::domain::{Block, BlockKind, Parsed, Place};

/// Hears recordings. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Speech {
    client: AsrServiceClient<connect::Client>,
    operations: OperationsClient<connect::Client>,
}

/// Cancels the work of the other service when nobody wants it any longer.
struct Abandon {
    operations: OperationsClient<connect::Client>,
    name: String,
    is_done: bool,
}

const SERVICE: &str = "asr";
const KEY: &str = "rag.asr_endpoint";

// === impl Speech ===

impl Speech {
    pub(crate) fn new(endpoint: &Uri, config: &ChannelConfig) -> Result<Self, connect::Error> {
        let channel = channel(endpoint, config)?;
        let client = AsrServiceClient::new(channel.clone());
        let operations = OperationsClient::new(channel);
        Ok(Self {
            client: polyphony_chassis::client!(client, &media_limits()),
            operations: polyphony_chassis::client!(operations, &media_limits()),
        })
    }

    /// Hears a recording, however long it is. `language` is BCP-47.
    ///
    /// # Errors
    /// What the service says; INVALID_ARGUMENT when nothing is said in it.
    pub(crate) async fn hear(&self, bytes: Bytes, language: Option<&str>) -> Result<Parsed, Fault> {
        let failed = |status: &Status| fault(SERVICE, KEY, status);
        let file = pb::BatchRecognizeFile {
            name: "recording".to_owned(),
            audio: Some(types::Media {
                source: Some(types::media::Source::Inline(bytes)),
            }),
            config: Some(pb::RecognitionConfig {
                language_codes: language.map(str::to_owned).into_iter().collect(),
                ..pb::RecognitionConfig::default()
            }),
        };
        let request = pb::BatchRecognizeRequest {
            files: vec![file],
            ..pb::BatchRecognizeRequest::default()
        };
        let mut client = self.client.clone();
        let begun = client.batch_recognize(Request::new(request)).await;
        let name = begun.map_err(|status| failed(&status))?.into_inner().name;
        let mut abandon = Abandon {
            operations: self.operations.clone(),
            name: name.clone(),
            is_done: false,
        };
        let watch = pb::WatchBatchRecognizeRequest { name: name.clone() };
        let watched = client.watch_batch_recognize(Request::new(watch)).await;
        let mut watched = watched.map_err(|status| failed(&status))?.into_inner();
        while watched
            .message()
            .await
            .map_err(|status| failed(&status))?
            .is_some()
        {}
        let mut operations = self.operations.clone();
        let get = lro::GetOperationRequest { name: name.clone() };
        let ended = operations.get_operation(Request::new(get)).await;
        let ended = ended.map_err(|status| failed(&status))?.into_inner();
        abandon.is_done = true;
        // It is of no use to anybody else, and holds what was said.
        drop(
            operations
                .delete_operation(lro::DeleteOperationRequest { name })
                .await,
        );
        parse(response(ended)?)
    }
}

fn response(ended: lro::Operation) -> Result<pb::RecognizeResponse, Fault> {
    let broken = || {
        let text = format!("{SERVICE} ({KEY}): it gave no result");
        Fault::unavailable("UPSTREAM_FAILED", text)
    };
    let failed = |error: polyphony_proto::google::rpc::Status| {
        fault(SERVICE, KEY, &Status::new(Code::from(error.code), error.message))
    };
    let batch = match ended.result {
        Some(lro::operation::Result::Response(response)) => {
            pb::BatchRecognizeResponse::decode(&*response.value).map_err(|_| broken())?
        }
        Some(lro::operation::Result::Error(error)) => return Err(failed(error)),
        None => return Err(broken()),
    };
    let file = batch.files.into_iter().next().ok_or_else(broken)?;
    match (file.error, file.response) {
        (Some(error), _) => Err(failed(error)),
        (None, Some(response)) => Ok(response),
        (None, None) => Err(broken()),
    }
}

/// What was said as a document: a block for each stretch of speech.
fn parse(response: pb::RecognizeResponse) -> Result<Parsed, Fault> {
    let mut parsed = Parsed::default();
    for result in response.results {
        let pb::SpeechRecognitionResult {
            alternatives,
            result_start_offset,
            result_end_offset,
            ..
        } = result;
        let said = alternatives.first().map_or("", |best| best.transcript.trim());
        if said.is_empty() {
            continue;
        }
        if !parsed.text.is_empty() {
            parsed.text.push('\n');
        }
        let start = parsed.text.len();
        parsed.text.push_str(said);
        let offset =
            |offset: Option<prost_types::Duration>| offset.and_then(duration).unwrap_or(Duration::ZERO);
        let begin = offset(result_start_offset);
        parsed.blocks.push(Block {
            kind: BlockKind::Speech,
            range: start..parsed.text.len(),
            headings: std::iter::empty::<String>().collect(),
            place: Some(Place::Time {
                start: begin,
                end: offset(result_end_offset).max(begin),
            }),
        });
    }
    if parsed.blocks.is_empty() {
        return Err(Fault::invalid("content", "nothing is said in it").with_reason("EMPTY_DOCUMENT"));
    }
    Ok(parsed)
}

// === impl Abandon ===

impl Drop for Abandon {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let (mut operations, name) = (self.operations.clone(), std::mem::take(&mut self.name));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                drop(
                    operations
                        .cancel_operation(lro::CancelOperationRequest { name })
                        .await,
                );
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str, start: i64, end: i64) -> pb::SpeechRecognitionResult {
        let at = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        pb::SpeechRecognitionResult {
            alternatives: vec![pb::SpeechRecognitionAlternative {
                transcript: text.to_owned(),
                ..pb::SpeechRecognitionAlternative::default()
            }],
            result_start_offset: at(start),
            result_end_offset: at(end),
            ..pb::SpeechRecognitionResult::default()
        }
    }

    #[test]
    fn each_stretch_of_speech_keeps_its_time() {
        let response = pb::RecognizeResponse {
            results: vec![
                result("The wing stalls.", 1, 3),
                result(" ", 3, 4),
                result("It is loud.", 723, 729),
            ],
            ..pb::RecognizeResponse::default()
        };
        let parsed = parse(response).expect("speech");
        assert_eq!(parsed.text, "The wing stalls.\nIt is loud.");
        let Some(Place::Time { start, end }) = parsed.blocks[1].place else {
            panic!("{parsed:?}")
        };
        assert_eq!((start.as_secs(), end.as_secs()), (723, 729));
        let silent = parse(pb::RecognizeResponse::default()).expect_err("nothing");
        assert_eq!(silent.reason, "EMPTY_DOCUMENT");
    }
}
