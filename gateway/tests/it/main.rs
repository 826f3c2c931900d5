//! The gateway as a client sees it: two upstreams behind one port, their health and their reflection merged.

mod door;
mod upstream;

use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::{ChannelConfig, ClientTlsConfig};
use polyphony_chassis::connect;
use polyphony_config::HumanDuration;
use polyphony_gateway::{Gateway, GatewayConfig, Keys, Listeners};
use polyphony_proto::asr::v1::GetPhraseSetRequest;
use polyphony_proto::asr::v1::adaptation_service_client::AdaptationServiceClient;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::google::longrunning::{GetOperationRequest, WaitOperationRequest};
use polyphony_testing::{Authority, Leaf, eventually_some, listener};
use prost::Message;
use tokio::net::TcpListener;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha;

use door::{Door, config, runtime};
use upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(10);
const OPERATIONS: &str = "google.longrunning.Operations";
const ADAPTATION: &str = "polyphony.asr.v1.AdaptationService";

/// The services that the gateway answers itself.
const OWN: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

#[tokio::test]
async fn one_port_lists_describes_and_calls_everything() {
    let (operations, phrases) = (Upstream::operations().await, Upstream::phrases().await);
    let door = Door::open(&operations, phrases.addr).await;
    assert_eq!(
        door.list().await,
        [&[OPERATIONS], &OWN[..], &[ADAPTATION]].concat()
    );

    for (symbol, package) in [
        (OPERATIONS, "google.longrunning"),
        ("google.longrunning.Operations.GetOperation", "google.longrunning"),
        (ADAPTATION, "polyphony.asr.v1"),
        ("polyphony.asr.v1.PhraseSet", "polyphony.asr.v1"),
        ("grpc.health.v1.Health", "grpc.health.v1"),
        // Its name says nothing of the cluster that knows it.
        ("google.rpc.Status", "google.rpc"),
    ] {
        let file = door.file_of(symbol).await.expect(symbol);
        assert_eq!(file.package(), package);
        let again = door
            .ask(MessageRequest::FileByFilename(file.name().to_owned()))
            .await;
        assert!(
            matches!(again, MessageResponse::FileDescriptorResponse(_)),
            "{again:?}"
        );
    }
    assert!(door.file_of("polyphony.asr.v1.Nothing").await.is_none());

    let name = "operations/7".to_owned();
    let operation = OperationsClient::new(door.channel())
        .get_operation(GetOperationRequest { name })
        .await;
    assert_eq!(
        operation.expect("the call passes").into_inner().name,
        "operations/7"
    );
    let name = "phraseSets/7".to_owned();
    let set = AdaptationServiceClient::new(door.channel())
        .get_phrase_set(GetPhraseSetRequest { name })
        .await;
    assert_eq!(set.expect("the call passes").into_inner().name, "phraseSets/7");
}

#[tokio::test]
async fn the_old_reflection_protocol_says_the_same() {
    let (operations, phrases) = (Upstream::operations().await, Upstream::phrases().await);
    let door = Door::open(&operations, phrases.addr).await;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(door.channel());
    let request = v1alpha::ServerReflectionRequest {
        host: "h".to_owned(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    // Two questions on one stream.
    let requests = tokio_stream::iter([request.clone(), request.clone()]);
    let mut answers = client
        .server_reflection_info(requests)
        .await
        .expect("reflection")
        .into_inner();
    let new = ServerReflectionRequest::decode(request.encode_to_vec().as_slice()).expect("the same wire");
    for _ in 0..2 {
        let answer = answers.message().await.expect("an answer").expect("one for each");
        let answer =
            ServerReflectionResponse::decode(answer.encode_to_vec().as_slice()).expect("the same wire");
        assert_eq!(
            (answer.valid_host.as_str(), answer.original_request.as_ref()),
            ("h", Some(&new))
        );
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("a list");
        };
        let names = list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect::<Vec<_>>();
        assert_eq!(names, door.list().await);
    }
    assert!(
        answers.message().await.expect("no error").is_none(),
        "the stream ends with the questions"
    );
}

#[tokio::test]
async fn health_is_asked_by_service_and_watched() {
    let (operations, phrases) = (Upstream::operations().await, Upstream::phrases().await);
    let door = Door::open(&operations, phrases.addr).await;
    assert_eq!(door.serving(OPERATIONS).await, Ok(ServingStatus::Serving));
    assert_eq!(door.serving(OWN[0]).await, Ok(ServingStatus::Serving));
    assert_eq!(
        door.serving("polyphony.asr.v1.Nothing").await,
        Err(Code::NotFound)
    );
    assert_eq!(door.serving("nobody.routes.This").await, Err(Code::NotFound));

    let service = ADAPTATION.to_owned();
    let watched = HealthClient::new(door.channel())
        .watch(HealthCheckRequest { service })
        .await;
    let mut changes = watched.expect("watched").into_inner();
    let mut next = async || {
        let change = tokio::time::timeout(PATIENCE, changes.message())
            .await
            .expect("a change comes");
        change.expect("no error").expect("the stream goes on").status()
    };
    assert_eq!(next().await, ServingStatus::Serving);
    let loading = phrases.readiness.guard(ADAPTATION, "the model");
    assert_eq!(next().await, ServingStatus::NotServing);
    assert_eq!(
        door.serving(OPERATIONS).await,
        Ok(ServingStatus::Serving),
        "the other is not touched"
    );
    drop(loading);
    assert_eq!(next().await, ServingStatus::Serving);
    // A method that waits by itself has a name of its own, and holds up nothing.
    let method = format!("{ADAPTATION}/CreatePhraseSet");
    assert_eq!(door.serving(&method).await, Err(Code::NotFound));
    let worker = phrases.readiness.guard(&method, "a worker");
    assert_eq!(door.serving(&method).await, Ok(ServingStatus::NotServing));
    assert_eq!(door.serving(ADAPTATION).await, Ok(ServingStatus::Serving));
    drop(worker);
    eventually_some(PATIENCE, "a method that can do its work", async || {
        (door.serving(&method).await == Ok(ServingStatus::Serving)).then_some(())
    })
    .await;
    phrases.stop().await;
    assert_eq!(next().await, ServingStatus::NotServing);
}

#[tokio::test]
async fn what_goes_away_is_no_longer_listed_and_what_comes_back_is() {
    let (operations, phrases) = (Upstream::operations().await, Upstream::phrases().await);
    let addr = phrases.addr;
    let door = Door::open(&operations, addr).await;
    assert!(door.file_of("polyphony.asr.v1.PhraseSet").await.is_some());
    phrases.stop().await;
    let gone = [&[OPERATIONS], &OWN[..]].concat();
    listed(&door, &gone).await;
    assert_eq!(door.serving(ADAPTATION).await, Ok(ServingStatus::NotServing));
    assert!(
        door.file_of("polyphony.asr.v1.PhraseSet").await.is_none(),
        "what was kept is forgotten"
    );
    let name = String::new();
    let refused = AdaptationServiceClient::new(door.channel())
        .get_phrase_set(GetPhraseSetRequest { name })
        .await;
    let refused = refused.expect_err("nobody is there");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unavailable, "no healthy upstream")
    );

    let again = TcpListener::bind(addr).await.expect("the port is free again");
    let _phrases = Upstream::phrases_on(again, addr);
    listed(&door, &[&[OPERATIONS], &OWN[..], &[ADAPTATION]].concat()).await;
    assert_eq!(door.serving(ADAPTATION).await, Ok(ServingStatus::Serving));
}

/// Waits until the gateway lists just these.
async fn listed(door: &Door, wanted: &[&str]) {
    let found = tokio::time::timeout(PATIENCE, async {
        while door.list().await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    if found.await.is_err() {
        panic!("listed are {:?} and not {wanted:?}", door.list().await);
    }
}

#[tokio::test]
async fn a_gateway_that_drains_says_so_finishes_calls_and_ends_watchers() {
    let (operations, phrases) = (Upstream::operations().await, Upstream::phrases().await);
    let door = Door::open(&operations, phrases.addr).await;
    let service = String::new();
    let watched = HealthClient::new(door.channel())
        .watch(HealthCheckRequest { service })
        .await;
    let mut changes = watched.expect("watched").into_inner();
    let first = changes.message().await.expect("no error").expect("a status");
    assert_eq!(first.status(), ServingStatus::Serving);
    let mut client = OperationsClient::new(door.channel());
    let request = WaitOperationRequest {
        name: "operations/1".to_owned(),
        timeout: None,
    };
    let call = tokio::spawn(async move { client.wait_operation(request).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    door.stop.drain();
    assert_eq!(
        call.await
            .expect("joined")
            .expect("the call finishes")
            .into_inner()
            .name,
        "operations/1"
    );
    while changes.message().await.expect("no error").is_some() {}
    let ended = tokio::time::timeout(PATIENCE, door.served)
        .await
        .expect("it ends");
    assert_eq!(ended.expect("joined").expect("it ran"), Ended::Drained);
}

#[tokio::test]
async fn the_second_listener_speaks_tls() {
    let (operations, phrases) = (Upstream::operations().await, Upstream::phrases().await);
    let (dir, ca) = (tempfile::tempdir().expect("a folder"), Authority::new("mesh"));
    let files = ca.issue(Leaf::server()).write_to(dir.path(), "gateway");
    let mut keys = config(operations.addr, phrases.addr);
    let tls = format!("cert = {:?}\nkey = {:?}", files.cert, files.key);
    keys.tls = Some(toml::from_str(&tls).expect("valid"));
    let gateway = Gateway::new(GatewayConfig::from(keys)).expect("a valid gateway");
    let ((plain, _), (secure, addr)) = (listener().await, listener().await);
    let (_stop, runtime) = runtime();
    let readiness = runtime.readiness.clone();
    tokio::spawn(gateway.serve(
        Listeners {
            plain,
            tls: Some(secure),
        },
        runtime,
    ));
    let config = ChannelConfig {
        tls: Some(ClientTlsConfig {
            ca: ca.write_to(dir.path()),
            cert: None,
            key: None,
            server_name: None,
            reload_interval: HumanDuration::from_secs(60),
        }),
        ..ChannelConfig::default()
    };
    let uri = format!("https://localhost:{}", addr.port())
        .parse()
        .expect("a URI");
    let channel = connect::client(&uri, &config).expect("a channel");
    let answered = eventually_some(PATIENCE, "a call over TLS passes", async || {
        let request = GetOperationRequest {
            name: "operations/1".to_owned(),
        };
        OperationsClient::new(channel.clone())
            .get_operation(request)
            .await
            .ok()
    });
    assert_eq!(answered.await.into_inner().name, "operations/1");
    assert!(readiness.not_ready().is_empty());
}

#[test]
fn plaintext_to_the_world_and_a_broken_mesh_are_refused_with_the_remedy() {
    let refused = |text: &str| {
        let keys: Keys = toml::from_str(text).expect(text);
        let error = Gateway::new(keys.into()).expect_err(text);
        polyphony_error::chain(&error).to_string()
    };
    let open = refused("listen = '0.0.0.0:8080'");
    assert!(
        open.contains("gateway.tls") && open.contains("gateway.allow_plaintext = true"),
        "{open}"
    );
    let lost = refused("[[routes]]\nservice = 'a.B'\ncluster = 'nowhere'");
    assert!(
        lost.contains("`nowhere`, which is not defined; known: align, analysis, asr"),
        "{lost}"
    );
}
