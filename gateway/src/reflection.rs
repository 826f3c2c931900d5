//! Server reflection of the whole mesh, v1 and v1alpha: what every endpoint that gets calls says of itself, merged.
//!
//! Listed is what a call would reach now: services that a usable endpoint serves *and* a route leads to. Descriptors
//! are the endpoints' own bytes, unread ([`index`]). The two versions of the protocol have the same messages under two
//! names, so one is recoded into the other.

mod index;
mod own;
mod upstream;

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use polyphony_chassis::Drain;
use polyphony_error::{Fault, Kind};
use prost::Message;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_server::ServerReflection;
use tonic_reflection::pb::{v1, v1alpha};

pub(crate) use index::Index;
pub(crate) use own::SERVICES as OWN_SERVICES;

/// A client that asks nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(300);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers both versions.
#[derive(Clone)]
pub(crate) struct MeshReflection {
    index: Index,
    drain: Drain,
}

// === impl MeshReflection ===

impl MeshReflection {
    pub(crate) fn new(index: Index, drain: Drain) -> Self {
        Self { index, drain }
    }

    /// One answer for each question, in order, until the client has no more or the gateway closes.
    fn answer<Q, A>(&self, questions: Streaming<Q>) -> Answers<A>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let state = (self.index.clone(), questions);
        let answers = stream::try_unfold(state, async |(index, mut questions)| {
            let next = timeout(IDLE, questions.message()).await;
            let Ok(question) = next else {
                let message = format!(
                    "no question came for {} s; ask again on a new stream",
                    IDLE.as_secs()
                );
                return Err(Fault::new(Kind::Unavailable, "IDLE_TIMEOUT", message).into());
            };
            let Some(question) = question? else {
                return Ok(None);
            };
            let answer = index.answer(recode(&question)?).await;
            Ok(Some((recode(&answer)?, (index, questions))))
        });
        let drain = self.drain.clone();
        Box::pin(answers.take_until(async move { drain.closing().await }))
    }
}

#[tonic::async_trait]
impl ServerReflection for MeshReflection {
    type ServerReflectionInfoStream = Answers<v1::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        Ok(Response::new(self.answer(request.into_inner())))
    }
}

#[tonic::async_trait]
impl v1alpha::server_reflection_server::ServerReflection for MeshReflection {
    type ServerReflectionInfoStream = Answers<v1alpha::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        Ok(Response::new(self.answer(request.into_inner())))
    }
}

/// A message as another type of the same wire format.
fn recode<A: Message, B: Message + Default>(message: &A) -> Result<B, Status> {
    B::decode(message.encode_to_vec().as_slice()).map_err(|error| Fault::internal(error).into())
}
