//! What is asked of a server, and what becomes of its errors: against one of a few lines that remembers the questions. It
//! is no Qdrant: how well that searches is not tested here.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use polyphony_config::{HumanDuration, Secret};
use polyphony_error::Kind;
use prost::Message;
use qdrant_client::qdrant as pb;
use tokio::net::TcpListener;

use super::*;
use crate::dense::DenseEngine;
use crate::domain::{Filter, NewSpace, Passage, PassageId};
use crate::ledger::{About, Ledger, Request};

/// A server that remembers.
#[derive(Debug, Default)]
struct Fake {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    created: Vec<pb::CreateCollection>,
    fields: Vec<pb::CreateFieldIndexCollection>,
    upserts: Vec<pb::UpsertPoints>,
    deletions: Vec<pb::DeletePoints>,
    queries: Vec<pb::QueryPoints>,
    points: BTreeMap<u64, pb::PointStruct>,
    keys: Vec<Option<String>>,
    /// The next calls fail so.
    fails: Option<Code>,
    /// The next calls are never answered.
    hangs: bool,
}

impl Fake {
    async fn start() -> (Arc<Self>, DenseConfig) {
        let fake = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = DenseConfig {
            engine: DenseEngine::Server,
            url: format!("http://{}", listener.local_addr().unwrap()),
            api_key: Some(Secret::new("canary-key".to_owned())),
            timeout: HumanDuration(Duration::from_millis(400)),
            ..DenseConfig::default()
        };
        let serving = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let fake = Arc::clone(&serving);
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let fake = Arc::clone(&fake);
                    async move { Ok::<_, Infallible>(fake.call(request).await) }
                });
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
            }
        });
        (fake, config)
    }

    /// One gRPC call: a message in, a message or a code out.
    async fn call(
        &self,
        request: http::Request<Incoming>,
    ) -> http::Response<StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>>>
    {
        let path = request.uri().path().to_owned();
        let key = request
            .headers()
            .get("api-key")
            .map(|key| key.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (fails, hangs) = {
            let mut inside = self.inside.lock().unwrap();
            inside.keys.push(key);
            (inside.fails, inside.hangs)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        let answer = fails.map_or_else(|| self.answer(&path, &body[5..]), Err);
        let mut trailers = HeaderMap::new();
        let code = answer.as_ref().err().copied().unwrap_or(Code::Ok);
        trailers.insert("grpc-status", (code as i32).into());
        let mut frames = Vec::new();
        if let Ok(message) = answer {
            let mut framed = BytesMut::from(&[0][..]);
            framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&message);
            frames.push(Ok(Frame::data(framed.freeze())));
        }
        frames.push(Ok(Frame::trailers(trailers)));
        http::Response::builder()
            .header("content-type", "application/grpc")
            .body(StreamBody::new(futures_util::stream::iter(frames)))
            .unwrap()
    }

    fn answer(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, Code> {
        let mut inside = self.inside.lock().unwrap();
        let missing = inside.created.is_empty();
        let id = |number| Some(pb::PointId::from(number));
        Ok(match path {
            "/qdrant.Collections/CollectionExists" => pb::CollectionExistsResponse {
                result: Some(pb::CollectionExists { exists: !missing }),
                ..Default::default()
            }
            .encode_to_vec(),
            "/qdrant.Collections/Create" => {
                inside.created.push(pb::CreateCollection::decode(body).unwrap());
                pb::CollectionOperationResponse::default().encode_to_vec()
            }
            _ if missing => return Err(Code::NotFound),
            "/qdrant.Points/CreateFieldIndex" => {
                inside
                    .fields
                    .push(pb::CreateFieldIndexCollection::decode(body).unwrap());
                pb::PointsOperationResponse::default().encode_to_vec()
            }
            "/qdrant.Points/Upsert" => {
                let request = pb::UpsertPoints::decode(body).unwrap();
                for point in &request.points {
                    let Some(PointIdOptions::Num(number)) = point.id.clone().unwrap().point_id_options else {
                        panic!("points have numbers");
                    };
                    inside.points.insert(number, point.clone());
                }
                inside.upserts.push(request);
                pb::PointsOperationResponse::default().encode_to_vec()
            }
            "/qdrant.Points/Delete" => {
                inside.deletions.push(pb::DeletePoints::decode(body).unwrap());
                pb::PointsOperationResponse::default().encode_to_vec()
            }
            "/qdrant.Points/Query" => {
                inside.queries.push(pb::QueryPoints::decode(body).unwrap());
                let scored = |&number: &u64| pb::ScoredPoint {
                    id: id(number),
                    score: 1.0 / number as f32,
                    ..Default::default()
                };
                pb::QueryResponse {
                    result: inside.points.keys().rev().map(scored).collect(),
                    ..Default::default()
                }
                .encode_to_vec()
            }
            "/qdrant.Points/Scroll" => {
                let request = pb::ScrollPoints::decode(body).unwrap();
                let from = match request.offset.and_then(|offset| offset.point_id_options) {
                    Some(PointIdOptions::Num(number)) => number,
                    _ => 0,
                };
                // Pages of two, so that there are several.
                let mut numbers = inside.points.range(from..).map(|(number, _)| *number);
                let page: Vec<u64> = numbers.by_ref().take(2).collect();
                pb::ScrollResponse {
                    next_page_offset: numbers.next().and_then(id),
                    result: page
                        .iter()
                        .map(|&number| pb::RetrievedPoint {
                            id: id(number),
                            ..Default::default()
                        })
                        .collect(),
                    ..Default::default()
                }
                .encode_to_vec()
            }
            other => panic!("{other} is not expected"),
        })
    }
}

async fn scope() -> (tempfile::TempDir, Scope) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(None, folder.path()).await.unwrap();
    let new = NewSpace {
        embedding_model: "model".to_owned(),
        ..NewSpace::default()
    };
    ledger
        .create_space("me", "space", &new, &Request::default())
        .await
        .unwrap();
    let key = ledger.live_spaces().await.unwrap()[0];
    let owned = ledger.at_work(key).await.unwrap().unwrap();
    (folder, Scope::of(owned))
}

fn passage(key: i64) -> Stored {
    Stored {
        key,
        id: PassageId::of("space", "a", 0, "text"),
        passage: Passage {
            ordinal: 0,
            range: 0..4,
            text: "text".to_owned(),
            headings: Arc::default(),
            place: None,
            tokens: 1,
        },
        vector: vec![1.0, 0.0],
        about: Arc::new(About {
            document: "a".to_owned(),
            title: String::new(),
            doc_type: Some("manual".to_owned()),
            tags: vec!["x".to_owned()],
            time: None,
            metadata: serde_json::Map::new(),
            language: None,
        }),
    }
}

fn nearest<'a>(vector: &'a [f32], filter: &'a Filter) -> Nearest<'a> {
    Nearest {
        vector,
        filter,
        limit: 5,
        exact: false,
    }
}

/// The conditions on the space that a filter has.
fn tenants(filter: Option<&pb::Filter>) -> Vec<String> {
    let must = &filter.expect("every question has a filter").must;
    let of_space = must
        .iter()
        .filter_map(|condition| match condition.condition_one_of.as_ref()? {
            pb::condition::ConditionOneOf::Field(field) if field.key == "space" => {
                Some(format!("{:?}", field.r#match))
            }
            _ => None,
        });
    of_space.collect()
}

#[tokio::test]
async fn a_collection_knows_tenants_and_every_question_names_one() {
    let (fake, config) = Fake::start().await;
    let (_folder, scope) = scope().await;
    let server = Server::new(&config).unwrap();
    let filter = Filter::default();
    assert!(
        server
            .search(&scope, nearest(&[1.0, 0.0], &filter))
            .await
            .unwrap()
            .is_empty(),
        "there is none yet"
    );
    assert!(server.keys(&scope).await.unwrap().is_empty());
    server.remove(&scope, &[1]).await.unwrap();

    server
        .upsert(&scope, &[passage(1), passage(2), passage(3)])
        .await
        .unwrap();
    server.upsert(&scope, &[passage(4)]).await.unwrap();
    assert_eq!(server.keys(&scope).await.unwrap(), [1, 2, 3, 4]);
    let found = server
        .search(&scope, nearest(&[1.0, 0.0], &filter))
        .await
        .unwrap();
    assert_eq!(
        found.iter().map(|scored| scored.key).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    let narrow = Filter {
        tags: vec!["x".to_owned()],
        ..Filter::default()
    };
    server
        .search(&scope, nearest(&[1.0, 0.0], &narrow))
        .await
        .unwrap();
    server.remove(&scope, &[2]).await.unwrap();

    let inside = fake.inside.lock().unwrap();
    assert_eq!(inside.created.len(), 1, "a collection is made once");
    let hnsw = inside.created[0].hnsw_config.unwrap();
    assert_eq!(
        (hnsw.m, hnsw.payload_m, hnsw.ef_construct),
        (Some(16), Some(16), Some(128))
    );
    let of_tenant = inside
        .fields
        .iter()
        .find(|field| field.field_name == "space")
        .unwrap();
    assert!(format!("{:?}", of_tenant.field_index_params).contains("is_tenant: Some(true)"));
    assert!(inside.upserts.iter().all(|request| request.wait == Some(true)));
    assert!(inside.deletions.iter().all(|request| request.wait == Some(true)));
    for query in &inside.queries {
        let tenants = tenants(query.filter.as_ref());
        assert!(
            tenants.len() == 1 && tenants[0].contains(&format!("\"{}\"", scope.key().number())),
            "{tenants:?}"
        );
    }
    assert_eq!(
        inside.queries.last().unwrap().filter.as_ref().unwrap().must.len(),
        2
    );
    assert!(inside.keys.iter().all(|key| key.as_deref() == Some("canary-key")));
}

#[tokio::test]
async fn errors_keep_their_kind_and_never_tell_the_key() {
    let (fake, config) = Fake::start().await;
    let (_folder, scope) = scope().await;
    let server = Server::new(&config).unwrap();
    server.upsert(&scope, &[passage(1)]).await.unwrap();
    let filter = Filter::default();
    for (code, kind) in [
        (Code::Unavailable, Kind::Unavailable),
        (Code::ResourceExhausted, Kind::ResourceExhausted),
        (Code::Internal, Kind::Internal),
        (Code::Unauthenticated, Kind::Internal),
    ] {
        fake.inside.lock().unwrap().fails = Some(code);
        let error = server
            .search(&scope, nearest(&[1.0, 0.0], &filter))
            .await
            .unwrap_err();
        let told = format!("{error:?} {}", polyphony_error::chain(&error));
        assert!(!told.contains("canary"), "{told}");
        assert_eq!(Fault::from(error).kind, kind, "{code}");
    }
    {
        let mut inside = fake.inside.lock().unwrap();
        (inside.fails, inside.hangs) = (None, true);
    }
    let error = server
        .search(&scope, nearest(&[1.0, 0.0], &filter))
        .await
        .unwrap_err();
    assert_eq!(
        Fault::from(error).kind,
        Kind::Unavailable,
        "a server that hangs is not waited for"
    );
    assert!(!format!("{server:?}").contains("canary"));
}
