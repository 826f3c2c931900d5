//! The service on a port of its own, with a folder of its own, and what tests say to it.

use std::path::Path;

use polyphony_harness::{Running, program};
use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::ingest_request::Request as Message;
use polyphony_proto::rag::v1::rag_service_client::RagServiceClient;
use polyphony_rag::Rag;
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub(crate) const SERVICE: &str = "polyphony.rag.v1.RagService";

/// What is known of wings and engines.
pub(crate) const WINGS: &str = "# Wings\n\nThe wing of the Heron was tested in a wind tunnel in 1957. It stalls at an \
                                angle of 14 degrees.\n\n# Tail\n\nThe tail of the Heron does not stall.\n";
pub(crate) const ENGINE: &str =
    "# Engine\n\nThe engine of the Heron weighs 900 kilograms. Its fuel is kerosene.\n";
pub(crate) const BREAD: &str =
    "# Bread\n\nBread is made of flour, water and salt. It is baked for forty minutes.\n";

/// The service, and what reaches it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) rag: RagServiceClient<Channel>,
    pub(crate) operations: OperationsClient<Channel>,
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
}

/// Nothing listens there: port 9 is kept for discarding.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

/// Starts the service in a new folder, with no language model unless the settings name one.
pub(crate) async fn served(settings: &[&str]) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    started(folder, settings).await
}

/// Starts the service in this folder.
pub(crate) async fn started(folder: TempDir, settings: &[&str]) -> Served {
    let running = program::<Rag>(SERVICE, &all_settings(folder.path(), settings)).await;
    let channel = running.channel().await;
    Served {
        rag: RagServiceClient::new(channel.clone()),
        operations: OperationsClient::new(channel),
        running,
        folder,
    }
}

pub(crate) fn all_settings(folder: &Path, settings: &[&str]) -> Vec<String> {
    let mut all = vec![
        format!("rag.data_dir={}", folder.join("rag").display()),
        format!("rag.llm_endpoint={NOWHERE}"),
        "rag.min_free=1MiB".to_owned(),
        format!("jobs.data_dir={}", folder.join("jobs").display()),
        "jobs.min_free=1MiB".to_owned(),
    ];
    all.extend(settings.iter().map(|setting| (*setting).to_owned()));
    all
}

// === impl Served ===

impl Served {
    /// Makes a space and takes documents in, and waits until they are found.
    pub(crate) async fn fill(&mut self, space: &str, documents: &[(&str, &str)]) {
        self.make(space).await;
        let response = self.ingest(space, documents).await;
        for result in &response.results {
            assert_eq!(result.error, None, "{}", result.name);
        }
    }

    /// Makes a space.
    pub(crate) async fn make(&mut self, space: &str) -> pb::Space {
        let request = pb::CreateSpaceRequest {
            space_id: space.to_owned(),
            ..pb::CreateSpaceRequest::default()
        };
        self.rag
            .create_space(request)
            .await
            .expect("a space")
            .into_inner()
    }

    /// Takes documents in, and waits for what becomes of them.
    pub(crate) async fn ingest(&mut self, space: &str, documents: &[(&str, &str)]) -> pb::IngestResponse {
        let begun = self.rag.ingest(stream(messages(space, documents))).await;
        let operation = begun.expect("taken in").into_inner();
        self.outcome(&operation.name).await
    }

    /// Waits for an ingestion.
    pub(crate) async fn outcome(&mut self, name: &str) -> pb::IngestResponse {
        let wait = lro::WaitOperationRequest {
            name: name.to_owned(),
            timeout: None,
        };
        let ended = self
            .operations
            .wait_operation(wait)
            .await
            .expect("ends")
            .into_inner();
        match ended.result {
            Some(lro::operation::Result::Response(response)) => {
                pb::IngestResponse::decode(&*response.value).expect("a response")
            }
            other => panic!("{other:?}"),
        }
    }

    /// The documents that a query finds, by the last parts of their names, each once.
    pub(crate) async fn found(&mut self, space: &str, query: &str) -> Vec<String> {
        let request = pb::SearchRequest {
            space: format!("spaces/{space}"),
            query: query.to_owned(),
            ..pb::SearchRequest::default()
        };
        let found = self.rag.search(request).await.expect("found").into_inner();
        let mut names = Vec::new();
        for hit in found.hits {
            let name = hit.document.rsplit('/').next().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// All events of an answer, or the status that it ended with.
    pub(crate) async fn ask(&mut self, request: pb::AnswerRequest) -> Result<Answered, (Answered, Status)> {
        let mut answered = Answered::default();
        let mut events = match self.rag.answer(request).await {
            Ok(events) => events.into_inner(),
            Err(status) => return Err((answered, status)),
        };
        loop {
            match events.message().await {
                Ok(Some(response)) => answered.take(response.event.expect("an event")),
                Ok(None) => return Ok(answered),
                Err(status) => return Err((answered, status)),
            }
        }
    }

    /// Stops the service and waits until it has ended; its folder stays.
    pub(crate) async fn stop(self) -> TempDir {
        let Self { running, folder, .. } = self;
        running.trigger.drain();
        running.ended.await.expect("ends");
        folder
    }
}

/// The events of an answer.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) retrieved: Option<pb::Retrieved>,
    /// The words that were streamed.
    pub(crate) words: String,
    pub(crate) citations: Option<pb::Citations>,
    pub(crate) completed: Option<pb::AnswerCompleted>,
}

impl Answered {
    fn take(&mut self, event: pb::answer_response::Event) {
        use pb::answer_response::Event;

        assert!(self.completed.is_none(), "nothing follows the end");
        match event {
            Event::Retrieved(retrieved) => {
                assert!(self.words.is_empty() && self.retrieved.is_none());
                self.retrieved = Some(retrieved);
            }
            Event::Delta(delta) => {
                assert!(self.retrieved.is_some() && self.citations.is_none());
                self.words += &delta.text;
            }
            Event::Citations(citations) => {
                assert!(self.citations.is_none());
                self.citations = Some(citations);
            }
            Event::Completed(completed) => {
                assert!(self.citations.is_some());
                self.completed = Some(completed);
            }
        }
    }

    pub(crate) fn completed(&self) -> &pb::AnswerCompleted {
        self.completed.as_ref().expect("it is complete")
    }

    pub(crate) fn citations(&self) -> &[pb::Citation] {
        self.citations
            .as_ref()
            .map(|citations| citations.citations.as_slice())
            .unwrap_or_default()
    }
}

/// The messages that take documents in.
pub(crate) fn messages(space: &str, documents: &[(&str, &str)]) -> Vec<pb::IngestRequest> {
    let mut messages = vec![message(Message::Config(pb::IngestConfig {
        space: format!("spaces/{space}"),
        ..pb::IngestConfig::default()
    }))];
    for (name, text) in documents {
        messages.push(message(Message::Document(pb::DocumentHead {
            document_id: (*name).to_owned(),
            source_uri: (*name).to_owned(),
            ..pb::DocumentHead::default()
        })));
        for piece in text.as_bytes().chunks(32 << 10) {
            messages.push(message(Message::Content(piece.to_vec().into())));
        }
    }
    messages
}

pub(crate) fn message(request: Message) -> pb::IngestRequest {
    pb::IngestRequest {
        request: Some(request),
    }
}

pub(crate) fn stream<M: Send + 'static>(
    messages: Vec<M>,
) -> impl tokio_stream::Stream<Item = M> + Send + 'static {
    tokio_stream::iter(messages)
}

/// A question about a space.
pub(crate) fn question(space: &str, query: &str) -> pb::AnswerRequest {
    pb::AnswerRequest {
        space: format!("spaces/{space}"),
        query: query.to_owned(),
        ..pb::AnswerRequest::default()
    }
}

/// A refusal of this kind, for this reason.
pub(crate) fn assert_status(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let said = details.error_info().map(|info| info.reason.as_str());
    assert_eq!((status.code(), said), (code, Some(reason)), "{status:?}");
}

/// A refusal of bad input that names this field.
pub(crate) fn assert_field(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
    let fields: Vec<&str> = violations
        .unwrap_or_default()
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert!(fields.contains(&field), "{field} is not in {fields:?}");
}
