//! Health, readiness and reflection tell the same truth.

use futures_util::{StreamExt, stream};
use polyphony_chassis::config::ServerConfig;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha;
use tonic_types::StatusExt;

use crate::echo::{self, Ask};
use crate::harness::{Harness, assert_status, soon, start};

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

const PLATFORM: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

#[tokio::test]
async fn a_watch_sees_every_flip_and_calls_are_refused_by_name() {
    let server = start(ServerConfig::default()).await;
    let mut health = HealthClient::new(server.channel().await);
    let mut client = server.client().await;
    let guard = server.readiness.guard(echo::NAME, "the model whisper-tiny");
    let mut watch = health.watch(of(echo::NAME)).await.expect("it opens").into_inner();
    let mut next = async || {
        soon(watch.next())
            .await
            .expect("a status")
            .expect("no error")
            .status()
    };

    assert_eq!(next().await, ServingStatus::NotServing);
    let status = client.unary(Ask::default()).await.expect_err("not ready");
    assert_status(&status, Code::Unavailable, "NOT_READY");
    assert!(status.message().contains("the model whisper-tiny"), "{status:?}");
    assert!(status.get_error_details().retry_info().is_some());
    let whole = health.check(of("")).await.expect("a status").into_inner();
    assert_eq!(whole.status(), ServingStatus::NotServing);

    drop(guard);
    assert_eq!(next().await, ServingStatus::Serving);
    client.unary(Ask::default()).await.expect("ready");
    let broken = server.readiness.guard(echo::NAME, "the device");
    assert_eq!(next().await, ServingStatus::NotServing);
    drop(broken);
    assert_eq!(next().await, ServingStatus::Serving);
}

#[tokio::test]
async fn an_unknown_service_is_not_found_and_may_be_watched() {
    let server = start(ServerConfig::default()).await;
    let mut health = HealthClient::new(server.channel().await);
    let status = health.check(of("no.such.Service")).await.expect_err("unknown");
    assert_status(&status, Code::NotFound, "NOT_FOUND");
    let mut watch = health
        .watch(of("later.Service"))
        .await
        .expect("it opens")
        .into_inner();
    let unknown = soon(watch.next()).await.expect("a status").expect("no error");
    assert_eq!(unknown.status(), ServingStatus::ServiceUnknown);
    server.readiness.register("later.Service");
    let known = soon(watch.next()).await.expect("a status").expect("no error");
    assert_eq!(known.status(), ServingStatus::Serving);
}

async fn ask(server: &Harness, question: MessageRequest) -> ServerReflectionResponse {
    let mut client = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .expect("it opens");
    soon(answers.into_inner().next())
        .await
        .expect("an answer")
        .expect("no error")
}

#[tokio::test]
async fn reflection_lists_what_answers_and_nothing_else() {
    let server = start(ServerConfig::default()).await;
    let mut expected = [&[echo::NAME], &PLATFORM[..]].concat();
    expected.sort_unstable();

    let answer = ask(&server, MessageRequest::ListServices(String::new())).await;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, expected);

    let mut health = HealthClient::new(server.channel().await);
    for name in names {
        health.check(of(name)).await.expect("what is listed has a health");
    }
}

#[tokio::test]
async fn reflection_speaks_v1alpha_too() {
    let server = start(ServerConfig::default()).await;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .expect("it opens");
    let answer = soon(answers.into_inner().next())
        .await
        .expect("an answer")
        .expect("no error");
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answer.message_response
    else {
        panic!("{answer:?}");
    };
    assert_eq!(list.service.len(), 1 + PLATFORM.len());
}

#[tokio::test]
async fn reflection_gives_the_files_of_a_service_and_of_its_imports_only() {
    let server = start(ServerConfig::default()).await;
    let given = |answer: ServerReflectionResponse| match answer.message_response {
        Some(MessageResponse::FileDescriptorResponse(files)) => files.file_descriptor_proto.len(),
        _ => 0,
    };
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.to_owned());
    let file = |name: &str| MessageRequest::FileByFilename(name.to_owned());
    assert_eq!(given(ask(&server, symbol(echo::NAME)).await), 1);
    assert_eq!(given(ask(&server, file("google/protobuf/empty.proto")).await), 1);
    // It is in the same descriptor set, and not served.
    let mut client = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(symbol("chassis.test.v1.LaterService")),
    };
    let answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .expect("it opens");
    let absent = soon(answers.into_inner().next()).await.expect("an answer");
    assert_status(&absent.expect_err("not served"), Code::NotFound, "NOT_FOUND");
}
