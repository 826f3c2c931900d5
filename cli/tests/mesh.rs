//! What is said where there is no mesh, the wrong one, or one that does not answer.

use std::io::Read;
use std::net::TcpListener;

use crate::Polyphony;

/// Nobody listens there: the port of a listener that is gone.
const NOWHERE: &str = "http://127.0.0.1:1";

/// How `transcribe` of a file that is there fails, in one line, with these arguments.
fn failure(args: &[&str]) -> String {
    let mut polyphony = Polyphony::new(&["transcribe", "a.wav"]);
    std::fs::write(polyphony.folder.path().join("a.wav"), b"RIFF").expect("written");
    polyphony.command.args(args);
    line(polyphony)
}

fn line(polyphony: Polyphony) -> String {
    let ended = polyphony.run();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.stderr
}

#[test]
fn no_mesh_is_said_with_the_command_that_starts_one() {
    let said = failure(&["--gateway", NOWHERE]);
    assert!(
        said.contains("Connection refused") && said.contains("`polyphony up`"),
        "{said}"
    );
}

#[test]
fn an_address_must_say_how_to_talk() {
    for address in ["127.0.0.1:8080", "localhost", "ftp://127.0.0.1", "http//x", "a b"] {
        let said = failure(&["--gateway", address]);
        assert!(
            said.contains("write http://HOST:PORT or https://HOST:PORT"),
            "{said}"
        );
    }
}

#[test]
fn https_is_tls_or_nothing() {
    let said = failure(&["--gateway", "https://127.0.0.1:1"]);
    assert!(said.contains("--ca FILE"), "{said}");

    let folder = tempfile::tempdir().expect("a folder");
    let ca = polyphony_testing::Authority::new("somebody").write_to(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("bound"));
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0];
        stream.read_exact(&mut first).expect("a greeting");
        first[0]
    });
    let ca = ca.to_str().expect("UTF-8");
    let said = failure(&["--gateway", &address, "--ca", ca]);
    assert!(said.contains(&format!("no mesh answers at {address}")), "{said}");
    assert_eq!(plain.join().expect("no panic"), 22, "a TLS handshake record");
}

#[test]
fn what_cannot_be_read_is_said_before_a_mesh_is_looked_for() {
    for args in [&["transcribe"][..], &["transcribe", "--stream"]] {
        let of = |file| {
            let args: Vec<_> = args.iter().copied().chain([file, "--gateway", NOWHERE]).collect();
            line(Polyphony::new(&args))
        };
        assert!(of("absent.wav").contains("cannot read absent.wav"), "{args:?}");
        assert!(of(".").contains("cannot read .: it is a folder"), "{args:?}");
    }
}

#[test]
fn a_mesh_that_does_not_answer_is_given_up_after_the_timeout() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", mute.local_addr().expect("bound"));
    for args in [&[][..], &["--stream"]] {
        let args: Vec<_> = args
            .iter()
            .copied()
            .chain(["--gateway", &address, "--timeout", "0.2"])
            .collect();
        let said = failure(&args);
        assert!(said.contains("--timeout"), "{said}");
    }
}

#[test]
fn what_answers_and_is_no_mesh_is_said_to_be_none() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", other.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let mut stream = stream.expect("a connection");
            drop(std::io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
            ));
        }
    });
    let said = failure(&["--gateway", &address]);
    assert!(said.contains("the connection to the mesh broke"), "{said}");
}
