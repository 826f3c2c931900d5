//! Language models through the mesh: OpenAI's own client, the command, and grpcurl, before a server that stands in for one.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use polyphony_tests::{Mesh, StandIn, binary, clients_python, grpcurl, repository};
use serde_json::{Value, json};

struct Running {
    mesh: Mesh,
    door: String,
}

/// A mesh before a stand-in.
fn running() -> Running {
    let stand_in = StandIn::start();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port();
    let upstream = format!("llm-proxy.upstreams.canned.url={}", stand_in.url());
    let listen = format!("llm-proxy.http.listen=127.0.0.1:{port}");
    Running {
        mesh: Mesh::start_with(&[&upstream, &listen, "llm-proxy.discover=false"]),
        door: format!("http://127.0.0.1:{port}"),
    }
}

fn said(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn openais_own_client_works_unchanged() {
    let running = running();
    let script = repository().join("tests/clients/python/openai_tour.py");
    let told = said(
        clients_python()
            .arg(script)
            .args([&running.door, "canned", "canned"]),
    );
    let mut told: Value = serde_json::from_str(&told).expect("JSON");
    // Encoders may be on disk here.
    let models = told
        .as_object_mut()
        .and_then(|told| told.remove("models"))
        .expect("models");
    assert!(
        models
            .as_array()
            .is_some_and(|models| models.contains(&json!("canned"))),
        "{models}"
    );
    let stream = |usage: Value| json!({"text": "You said: Say one two three.", "pieces": 6, "reason": "stop", "usage": usage});
    assert_eq!(
        told,
        json!({
            "model": "canned",
            "chat": "You said: Hello",
            "usage": 7,
            "stream": stream(Value::Null),
            "streamWithUsage": stream(json!(7)),
            "embeddings": [[2.0, 1.0], [5.0, 1.0]],
            "tools": {"reason": "tool_calls", "name": "weather", "arguments": {"city": "Kyiv"}, "answer": "You said: rain"},
            "unknown": "model_not_found",
        })
    );
}

#[test]
fn the_command_and_grpcurl_chat_through_the_gateway() {
    let running = running();
    let polyphony = || {
        let mut command = Command::new(binary("polyphony"));
        command.args(["chat", "--gateway", &running.mesh.url()]);
        command
    };
    assert_eq!(said(polyphony().arg("How are you?")), "You said: How are you?\n");
    let mut piped = polyphony()
        .args(["-", "--model", "canned"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    piped
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"Piped")
        .expect("written");
    assert_eq!(
        piped.wait_with_output().expect("ends").stdout,
        b"You said: Piped\n"
    );
    let lines = said(polyphony().args(["--json", "Hi"]));
    let last: Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&last["finish_reason"], &last["upstream"]),
        (&json!("stop"), &json!("canned"))
    );
    assert_eq!(last["usage"]["completion_tokens"], 4);
    let unknown = polyphony()
        .args(["--model", "none", "Hi"])
        .output()
        .expect("runs");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("model \"none\" not found"),
        "{unknown:?}"
    );
    let question = r#"{"messages":[{"role":"ROLE_USER","content":[{"text":"Hi"}]}]}"#;
    let told = said(grpcurl().args([
        "-plaintext",
        "-d",
        question,
        running.mesh.address(),
        "polyphony.llm.v1.LlmService/Chat",
    ]));
    assert!(
        told.contains("\"finishReason\": \"FINISH_REASON_STOP\""),
        "{told}"
    );
}
