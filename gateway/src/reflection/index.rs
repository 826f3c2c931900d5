//! What the endpoints say of themselves: which services there are, and the descriptors that were asked for.
//!
//! Services are asked for whenever a cluster's health changes; descriptors when a client wants them, and kept until
//! then. Everything kept is bounded, and so is what strangers can make the gateway ask.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use polyphony_gateway_proxy::{Cluster, Proxy};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tonic::Code;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};

use super::own::{self, SERVICES as OWN};
use super::upstream;

/// Answers kept.
const MAX_KEPT: usize = 1024;
/// The largest answer kept, encoded.
const MAX_KEPT_BYTES: usize = 256 * 1024;
/// Questions put to endpoints at once on behalf of clients.
const ASKING: usize = 16;
/// The longest name that is passed on.
const MAX_NAME: usize = 512;
/// Between two attempts at an endpoint that serves and does not say what.
const RETRY: Duration = Duration::from_secs(2);

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Index(Arc<Inner>);

struct Inner {
    proxy: Proxy,
    kept: Mutex<Kept>,
    asking: Semaphore,
    /// How many clusters have been asked once.
    filled: watch::Sender<usize>,
}

#[derive(Default)]
struct Kept {
    /// The services of each cluster.
    services: BTreeMap<String, BTreeSet<String>>,
    answers: HashMap<MessageRequest, MessageResponse>,
    /// Moves on when `answers` are thrown away, so that one asked for before is not kept after.
    age: u64,
}

// === impl Index ===

impl Index {
    /// Starts following the clusters of the proxy. Must be called within a Tokio runtime.
    pub(crate) fn start(proxy: &Proxy) -> Self {
        let index = Self(Arc::new(Inner {
            proxy: proxy.clone(),
            kept: Mutex::default(),
            asking: Semaphore::new(ASKING),
            filled: watch::Sender::new(0),
        }));
        for cluster in proxy.clusters() {
            let (inner, cluster) = (Arc::downgrade(&index.0), Arc::clone(cluster));
            tokio::spawn(async move {
                let mut changes = cluster.changes();
                let mut first = true;
                loop {
                    changes.borrow_and_update();
                    let Some(index) = inner.upgrade() else { return };
                    let complete = Self(Arc::clone(&index)).refresh(&cluster).await;
                    // Before the first checks there is nobody to ask; that does not count.
                    if first && cluster.is_checked() {
                        first = false;
                        index.filled.send_modify(|filled| *filled += 1);
                    }
                    drop(index);
                    tokio::select! {
                        changed = changes.changed() => if changed.is_err() { return },
                        () = sleep(RETRY), if !complete => {}
                    }
                }
            });
        }
        index
    }

    /// Completes when every cluster has been asked once for its services.
    pub(crate) async fn filled(&self) {
        let clusters = self.0.proxy.clusters().count();
        // The sender lives in `self`, so the channel cannot close.
        drop(
            self.0
                .filled
                .subscribe()
                .wait_for(|filled| *filled >= clusters)
                .await,
        );
    }

    /// The answer to one question of a client.
    pub(crate) async fn answer(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let answer = match request.message_request.clone() {
            Some(question) => self.find(question).await,
            None => error(
                Code::InvalidArgument,
                "message_request: is not set; ask one question",
            ),
        };
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(answer),
        }
    }

    async fn find(&self, question: MessageRequest) -> MessageResponse {
        let own = match &question {
            MessageRequest::ListServices(_) => return self.list(),
            MessageRequest::FileByFilename(name) => own::file(name),
            MessageRequest::FileContainingSymbol(symbol) => own::file_of(symbol),
            MessageRequest::FileContainingExtension(_) | MessageRequest::AllExtensionNumbersOfType(_) => None,
        };
        if let Some(file) = own {
            return MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                file_descriptor_proto: vec![file],
            });
        }
        let name = name_of(&question);
        if name.is_empty() || name.len() > MAX_NAME {
            return error(Code::InvalidArgument, "a name has 1 to 512 bytes");
        }
        let (kept, age) = {
            let kept = self.lock();
            (kept.answers.get(&question).cloned(), kept.age)
        };
        if let Some(answer) = kept {
            return answer;
        }
        match self.ask_all(&question).await {
            Some(answer) => {
                self.keep(question, &answer, age);
                answer
            }
            None => error(
                Code::NotFound,
                &format!("\"{name}\" is not known to any service that is up"),
            ),
        }
    }

    fn list(&self) -> MessageResponse {
        let kept = self.lock();
        let services = kept.services.values().flatten().map(String::as_str);
        let all = services.chain(OWN).collect::<BTreeSet<_>>();
        let service = all.into_iter().map(|name| ServiceResponse {
            name: name.to_owned(),
        });
        MessageResponse::ListServicesResponse(ListServiceResponse {
            service: service.collect(),
        })
    }

    /// Asks one endpoint of each cluster, first of the one that the name is routed to: of all for numbers of extensions,
    /// else until one knows.
    async fn ask_all(&self, question: &MessageRequest) -> Option<MessageResponse> {
        // The semaphore is never closed.
        let _turn = self.0.asking.acquire().await.ok()?;
        let proxy = &self.0.proxy;
        let home = proxy.cluster_of(name_of(question));
        let is_home = |cluster: &&Arc<Cluster>| home.is_some_and(|home| Arc::ptr_eq(home, cluster));
        let others = proxy.clusters().filter(|cluster| !is_home(cluster));
        let mut numbers: Option<ExtensionNumberResponse> = None;
        for cluster in home.into_iter().chain(others) {
            for endpoint in cluster.usable().cloned().collect::<Vec<_>>() {
                match upstream::ask(&endpoint, question.clone()).await {
                    Ok(Some(MessageResponse::AllExtensionNumbersResponse(more))) => {
                        let numbers = numbers.get_or_insert_default();
                        numbers.base_type_name = more.base_type_name;
                        numbers.extension_number.extend(more.extension_number);
                        numbers.extension_number.sort_unstable();
                        numbers.extension_number.dedup();
                        break;
                    }
                    Ok(Some(answer)) => return Some(answer),
                    // Endpoints of one cluster serve the same; the next one knows no more.
                    Ok(None) => break,
                    Err(status) => {
                        tracing::debug!(endpoint = endpoint.name(), %status, "no reflection");
                    }
                }
            }
        }
        numbers.map(MessageResponse::AllExtensionNumbersResponse)
    }

    fn keep(&self, question: MessageRequest, answer: &MessageResponse, age: u64) {
        let bytes = match answer {
            MessageResponse::FileDescriptorResponse(files) => {
                files.file_descriptor_proto.iter().map(Vec::len).sum()
            }
            _ => 0,
        };
        let mut kept = self.lock();
        if kept.age == age && bytes <= MAX_KEPT_BYTES && kept.answers.len() < MAX_KEPT {
            kept.answers.insert(question, answer.clone());
        }
    }

    /// Asks the usable endpoints of a cluster which services they have; false if one did not say and should.
    async fn refresh(&self, cluster: &Arc<Cluster>) -> bool {
        let mut services = BTreeSet::new();
        let mut complete = true;
        for endpoint in cluster.usable().cloned().collect::<Vec<_>>() {
            match upstream::ask(&endpoint, MessageRequest::ListServices(String::new())).await {
                Ok(Some(MessageResponse::ListServicesResponse(list))) => {
                    let names = list.service.into_iter().map(|service| service.name);
                    let routed = names
                        .filter(|name| self.leads_to(name, cluster))
                        .collect::<Vec<_>>();
                    endpoint.track(routed.iter().map(String::as_str));
                    services.extend(routed);
                }
                // An endpoint without reflection has no services to list; its calls pass all the same.
                Ok(_) => {}
                Err(status) if status.code() == Code::Unimplemented => {}
                Err(status) => {
                    tracing::debug!(endpoint = endpoint.name(), %status, "no list of services");
                    complete = false;
                }
            }
        }
        let mut kept = self.lock();
        kept.services.insert(cluster.name().to_owned(), services);
        kept.answers.clear();
        kept.age += 1;
        complete
    }

    fn leads_to(&self, service: &str, cluster: &Arc<Cluster>) -> bool {
        let routed = self.0.proxy.cluster_of(service);
        routed.is_some_and(|routed| Arc::ptr_eq(routed, cluster)) && !OWN.contains(&service)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(question: &MessageRequest) -> &str {
    match question {
        MessageRequest::FileByFilename(name)
        | MessageRequest::FileContainingSymbol(name)
        | MessageRequest::AllExtensionNumbersOfType(name)
        | MessageRequest::ListServices(name) => name,
        MessageRequest::FileContainingExtension(extension) => &extension.containing_type,
    }
}

fn error(code: Code, message: &str) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse {
        error_code: code.into(),
        error_message: message.to_owned(),
    })
}
