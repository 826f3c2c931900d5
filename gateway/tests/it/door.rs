//! A gateway before the two upstreams, and the questions that tests ask it.

use std::net::SocketAddr;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ChannelConfig;
use polyphony_chassis::{Admission, Readiness, Runtime, Shutdown, Trigger, connect};
use polyphony_gateway::{Error, Gateway, Keys, Listeners};
use polyphony_testing::listener;
use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::ADAPTATION;
use crate::upstream::Upstream;

/// A gateway before the two.
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: Trigger,
    pub(crate) served: JoinHandle<Result<Ended, Error>>,
}

pub(crate) fn config(operations: SocketAddr, phrases: SocketAddr) -> Keys {
    let text = format!(
        r#"
        [clusters.asr]
        endpoints = ["{operations}"]
        health_check.interval = "50ms"
        [clusters.phrases]
        endpoints = ["{phrases}"]
        health_check.interval = "50ms"
        [[routes]]
        service = "{ADAPTATION}"
        cluster = "phrases"
        "#
    );
    toml::from_str(&text).expect("valid")
}

pub(crate) fn runtime() -> (Trigger, Runtime) {
    let (stop, shutdown) = Shutdown::manual();
    let runtime = Runtime {
        shutdown,
        readiness: Readiness::new(),
        admission: Admission::new(1),
        residents: Default::default(),
    };
    (stop, runtime)
}

impl Door {
    pub(crate) async fn open(operations: &Upstream, phrases: SocketAddr) -> Self {
        let (plain, addr) = listener().await;
        let gateway = Gateway::new(config(operations.addr, phrases).into()).expect("a valid gateway");
        let (stop, runtime) = runtime();
        let ready = runtime.readiness.clone();
        let served = tokio::spawn(gateway.serve(Listeners { plain, tls: None }, runtime));
        let door = Self { addr, stop, served };
        assert_eq!(door.serving("").await, Ok(ServingStatus::Serving));
        assert!(ready.not_ready().is_empty());
        door
    }

    pub(crate) fn channel(&self) -> connect::Client {
        let uri = format!("http://{}", self.addr).parse().expect("a URI");
        connect::client(&uri, &ChannelConfig::default()).expect("a channel")
    }

    /// The health of a service, once it is no longer "not yet".
    pub(crate) async fn serving(&self, service: &str) -> Result<ServingStatus, Code> {
        let service = service.to_owned();
        let mut client = HealthClient::new(self.channel());
        let mut answer = client
            .check(HealthCheckRequest {
                service: service.clone(),
            })
            .await;
        for _ in 0..100 {
            match &answer {
                Ok(status)
                    if status.get_ref().status() == ServingStatus::NotServing && service.is_empty() => {}
                _ => break,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = client
                .check(HealthCheckRequest {
                    service: service.clone(),
                })
                .await;
        }
        answer
            .map(|answer| answer.into_inner().status())
            .map_err(|status| status.code())
    }

    pub(crate) async fn ask(&self, question: MessageRequest) -> MessageResponse {
        let mut client = ServerReflectionClient::new(self.channel());
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let answers = client
            .server_reflection_info(tokio_stream::once(request))
            .await
            .expect("reflection");
        let answer = answers
            .into_inner()
            .message()
            .await
            .expect("an answer")
            .expect("one answer");
        answer.message_response.expect("an answer to the question")
    }

    pub(crate) async fn list(&self) -> Vec<String> {
        match self.ask(MessageRequest::ListServices(String::new())).await {
            MessageResponse::ListServicesResponse(list) => list.service.into_iter().map(|s| s.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn file_of(&self, symbol: &str) -> Option<FileDescriptorProto> {
        match self
            .ask(MessageRequest::FileContainingSymbol(symbol.to_owned()))
            .await
        {
            MessageResponse::FileDescriptorResponse(files) => {
                let first = files.file_descriptor_proto.first().expect("a file").as_slice();
                Some(FileDescriptorProto::decode(first).expect("a descriptor"))
            }
            MessageResponse::ErrorResponse(error) => {
                assert_eq!(error.error_code, i32::from(Code::NotFound), "{error:?}");
                None
            }
            other => panic!("{other:?}"),
        }
    }
}
