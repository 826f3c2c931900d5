//! The door in TLS, with client certificates, as the command line uses it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use polyphony_testing::{Authority, Leaf};
use polyphony_tests::{Mesh, binary, speech};
use tempfile::TempDir;

#[test]
fn a_client_with_a_certificate_is_served_and_one_without_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let authority = Authority::new("mesh");
    let ca = authority.write_to(folder.path());
    let server = authority.issue(Leaf::server()).write_to(folder.path(), "server");
    let client = authority.issue(Leaf::client()).write_to(folder.path(), "client");
    // The ready line names the plaintext port alone, so this one is chosen here.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a free port")
        .port();
    let keys = [
        format!("gateway.tls.listen=127.0.0.1:{port}"),
        format!("gateway.tls.cert={}", server.cert.display()),
        format!("gateway.tls.key={}", server.key.display()),
        format!("gateway.tls.client_ca={}", ca.display()),
    ];
    let _mesh = Mesh::start_with(&keys.each_ref().map(String::as_str));
    let transcribe = |flags: &[&Path]| -> Output {
        let mut command = Command::new(binary("polyphony"));
        command
            .args([
                "transcribe",
                "--gateway",
                &format!("https://localhost:{port}"),
                "--ca",
            ])
            .arg(&ca)
            .args(flags);
        command.arg(speech().0).output().expect("polyphony starts")
    };

    let known = transcribe(&["--cert".as_ref(), &client.cert, "--key".as_ref(), &client.key]);
    assert!(
        known.status.success(),
        "{}",
        String::from_utf8_lossy(&known.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&known.stdout).trim(), speech().1);

    let stranger = transcribe(&[]);
    let error = String::from_utf8_lossy(&stranger.stderr);
    assert_eq!(stranger.status.code(), Some(1), "{error}");
    assert!(
        error.to_lowercase().contains("certificate") && error.trim().lines().count() == 1,
        "{error}"
    );
}
