//! The same recording from clients in other languages, and from grpcurl, through the gateway.

use std::process::Command;

use polyphony_tests::{Mesh, binary, clients_python, grpcurl, node, repository, speech};
use serde_json::Value;

#[test]
fn every_client_reads_the_same_text() {
    let mesh = Mesh::start();
    let (recording, said) = speech();
    let clients = repository().join("tests/clients");

    let python = json(
        clients_python()
            .arg(clients.join("python/stream.py"))
            .arg(mesh.address())
            .arg(&recording),
    );
    let node = json(
        node()
            .arg(clients.join("node/stream.js"))
            .arg(mesh.address())
            .arg(&recording)
            .arg(repository().join("proto")),
    );
    let cli = text(
        Command::new(binary("polyphony"))
            .args(["transcribe", "--stream", "--gateway", &mesh.url()])
            .arg(&recording),
    );

    assert_eq!(python["final"], said);
    assert_eq!(node["final"], said);
    assert_eq!(cli.trim(), said);
    assert!(
        python["interim"].as_u64() > Some(0),
        "python saw no interim result: {python}"
    );
    assert!(
        node["interim"].as_u64() > Some(0),
        "node saw no interim result: {node}"
    );
}

#[test]
fn grpcurl_lists_and_calls_every_service() {
    let mesh = Mesh::start();
    let call = |arguments: &[&str]| {
        let (method, flags) = arguments.split_last().expect("a method");
        text(
            grpcurl()
                .arg("-plaintext")
                .args(flags)
                .arg(mesh.address())
                .arg(method),
        )
    };

    let services = call(&["list"]);
    let expected = [
        "google.longrunning.Operations",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "polyphony.asr.v1.AsrService",
        "polyphony.models.v1.ModelService",
    ];
    assert_eq!(
        services.lines().collect::<Vec<_>>(),
        expected,
        "reflection lists what answers, and nothing else"
    );

    let described = call(&["describe"]);
    for service in expected {
        assert!(described.contains(service), "{service} is not described");
    }
    for service in [
        "polyphony.asr.v1.AsrService",
        "polyphony.models.v1.ModelService",
        "google.longrunning.Operations",
    ] {
        let health = call(&[
            "-d",
            &format!("{{\"service\":\"{service}\"}}"),
            "grpc.health.v1.Health/Check",
        ]);
        assert!(
            health.contains("SERVING") && !health.contains("NOT_SERVING"),
            "{service}: {health}"
        );
    }
    let capabilities = call(&["polyphony.asr.v1.AsrService/GetCapabilities"]);
    assert!(
        capabilities.contains("pocketsphinx") && capabilities.contains("degraded"),
        "{capabilities}"
    );
    assert!(call(&["polyphony.models.v1.ModelService/ListModels"]).contains("silero-vad"));
    assert_eq!(
        call(&["google.longrunning.Operations/ListOperations"]).trim(),
        "{}"
    );
}

fn json(command: &mut Command) -> Value {
    let text = text(command);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{command:?} printed no JSON ({error}): {text}"))
}

fn text(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
