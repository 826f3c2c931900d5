//! `polyphony rag`: documents in, passages and answers out.

mod archive;
mod ask;
mod documents;
mod ingest;
mod place;
mod search;
mod spaces;
mod tally;
mod train;
mod walk;

use std::process::ExitCode;

use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::rag_service_client::RagServiceClient;
use tonic::transport::Channel;

use crate::args::{Mesh, Only, Rag, RagCommand};
use crate::client;

/// What the commands call.
type Client = RagServiceClient<Channel>;

/// The most bytes of a message of a stream.
const PIECE: usize = 32 << 10;
/// Answers with many passages are larger than gRPC's default.
const MOST_REPLY: usize = 32 << 20;

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Rag) -> anyhow::Result<ExitCode> {
    let Rag { space, command } = args;
    let name = format!("spaces/{space}");
    match command {
        RagCommand::Ingest(ingest) => ingest::run(mesh, json, &space, ingest).await,
        RagCommand::Search(search) => search::run(mesh, json, name, search).await,
        RagCommand::Ask(ask) => ask::run(mesh, json, name, ask).await,
        RagCommand::Spaces(spaces) => spaces::run(mesh, json, spaces).await,
        RagCommand::Documents { tags, state } => documents::list(mesh, json, name, tags, state).await,
        RagCommand::Delete { documents } => documents::delete(mesh, json, &name, documents).await,
        RagCommand::Export { output, omit_vectors } => {
            archive::export(mesh, json, name, &output, omit_vectors).await
        }
        RagCommand::Import { file, id } => archive::import(mesh, json, &file, id).await,
        RagCommand::TrainClassifier {
            folder,
            output,
            model,
        } => train::run(mesh, json, &folder, output, model).await,
    }
}

/// Connects to the service.
async fn connect(mesh: &Mesh) -> anyhow::Result<Client> {
    let client = RagServiceClient::new(client::connect(mesh).await?);
    Ok(client.max_decoding_message_size(MOST_REPLY))
}

/// Which passages may be found; none: all.
fn filter(only: Only) -> Option<pb::Filter> {
    let Only { tags, doc_types } = only;
    (!tags.is_empty() || !doc_types.is_empty()).then(|| pb::Filter {
        tags,
        doc_types,
        ..pb::Filter::default()
    })
}

/// The last part of a resource's name.
fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
