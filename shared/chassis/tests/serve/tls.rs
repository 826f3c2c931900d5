//! TLS that follows its files, and lets in whom it should.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use polyphony_chassis::config::{ChannelConfig, ClientTlsConfig, ServerConfig, TlsConfig};
use polyphony_chassis::connect::{self, Client};
use polyphony_chassis::tls::{ClientTls, Reload, ServerTls};
use polyphony_testing::{Authority, Issued, Leaf, PemFiles, capture_logs, eventually};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tonic::Code;
use tracing::Level;

use crate::echo::{Ask, EchoClient};
use crate::harness::{Harness, PATIENCE, millis, soon, start};

fn over_tls(tls: TlsConfig) -> ServerConfig {
    ServerConfig {
        tls: Some(tls),
        ..ServerConfig::default()
    }
}

pub(crate) fn server(files: &PemFiles, client_ca: Option<PathBuf>) -> TlsConfig {
    TlsConfig {
        cert: files.cert.clone(),
        key: files.key.clone(),
        client_ca,
        allowed_clients: Vec::new(),
        reload_interval: millis(20),
    }
}

fn client(ca: PathBuf, identity: Option<&PemFiles>) -> ClientTlsConfig {
    ClientTlsConfig {
        ca,
        cert: identity.map(|files| files.cert.clone()),
        key: identity.map(|files| files.key.clone()),
        server_name: Some("localhost".to_owned()),
        reload_interval: millis(20),
    }
}

/// A client on a connection of its own.
fn dial(server: &Harness, tls: &ClientTlsConfig) -> EchoClient<Client> {
    let config = ChannelConfig {
        tls: Some(tls.clone()),
        ..ChannelConfig::default()
    };
    let uri = format!("https://{}", server.addr).parse().expect("an address");
    EchoClient::new(connect::client(&uri, &config).expect("a channel"))
}

/// The certificate that a new connection is greeted with.
async fn leaf(server: &Harness, tls: &ClientTls) -> CertificateDer<'static> {
    let tcp = TcpStream::connect(server.addr).await.expect("a connection");
    let stream = soon(tls.connect("localhost", tcp)).await.expect("a handshake");
    let chain = stream.get_ref().1.peer_certificates().expect("a chain");
    chain[0].clone().into_owned()
}

struct Mesh {
    dir: tempfile::TempDir,
    ca: Authority,
    ca_file: PathBuf,
}

impl Mesh {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let ca = Authority::new("mesh");
        let ca_file = ca.write_to(dir.path());
        Self { dir, ca, ca_file }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn issue(&self, leaf: Leaf, name: &str) -> PemFiles {
        self.ca.issue(leaf).write_to(self.path(), name)
    }
}

#[tokio::test]
async fn only_clients_that_the_authority_signed_are_let_in() {
    let mesh = Mesh::new();
    let tls = server(&mesh.issue(Leaf::server(), "server"), Some(mesh.ca_file.clone()));
    let running = start(over_tls(tls)).await;

    let known = mesh.issue(Leaf::client().uri("spiffe://mesh/asr"), "known");
    let reply = dial(&running, &client(mesh.ca_file.clone(), Some(&known)))
        .unary(Ask::default())
        .await;
    assert_eq!(
        reply.expect("let in").spiffe,
        "spiffe://mesh/asr",
        "handlers see who calls"
    );

    let stranger = Authority::new("elsewhere")
        .issue(Leaf::client())
        .write_to(mesh.path(), "stranger");
    let expired = mesh.issue(Leaf::client().expired(), "expired");
    for (identity, who) in [
        (None, "nobody"),
        (Some(&stranger), "a stranger"),
        (Some(&expired), "the expired"),
    ] {
        let refused = dial(&running, &client(mesh.ca_file.clone(), identity))
            .unary(Ask::default())
            .await;
        assert_eq!(refused.expect_err(who).code(), Code::Unavailable, "{who}");
    }

    let elsewhere = mesh.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    let wrong = client(Authority::new("elsewhere").write_to(&elsewhere), Some(&known));
    dial(&running, &wrong)
        .unary(Ask::default())
        .await
        .expect_err("the client does not trust the server");
    let in_the_clear = running.client().await.unary(Ask::default()).await;
    in_the_clear.expect_err("nothing is answered in the clear");
}

#[tokio::test]
async fn a_list_of_names_narrows_whom_the_authority_signed() {
    let mesh = Mesh::new();
    let mut tls = server(&mesh.issue(Leaf::server(), "server"), Some(mesh.ca_file.clone()));
    tls.allowed_clients = vec!["spiffe://mesh/gateway".to_owned(), "flow.mesh".to_owned()];
    let running = start(over_tls(tls)).await;
    let call = async |leaf: Leaf| {
        let files = mesh.issue(leaf, "caller");
        dial(&running, &client(mesh.ca_file.clone(), Some(&files)))
            .unary(Ask::default())
            .await
    };
    call(Leaf::client().uri("spiffe://mesh/gateway"))
        .await
        .expect("by its SPIFFE id");
    call(Leaf::client().dns("flow.mesh"))
        .await
        .expect("by its DNS name");
    call(Leaf::client().uri("spiffe://mesh/gateway/not"))
        .await
        .expect_err("another id");
    let two = Leaf::client()
        .uri("spiffe://mesh/gateway")
        .uri("spiffe://mesh/asr");
    call(two).await.expect_err("two ids are none");
    call(Leaf::client()).await.expect_err("no name");
}

#[tokio::test]
async fn a_rotation_under_load_loses_no_call_and_a_torn_one_changes_nothing() {
    let (logs, _guard) = capture_logs();
    let mesh = Mesh::new();
    let files = mesh.issue(Leaf::server(), "server");
    let running = Arc::new(start(over_tls(server(&files, None))).await);
    let trust = client(mesh.ca_file.clone(), None);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (running, trust) = (Arc::clone(&running), trust.clone());
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    // Half on new connections.
                    let mut client = dial(&running, &trust);
                    for _ in 0..2 {
                        client.unary(Ask::default()).await.expect("no call is lost");
                    }
                    done.fetch_add(2, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let eyes = ClientTls::load(&trust).expect("a client");
    let mut known = leaf(&running, &eyes).await;
    for round in 0..5 {
        let new = mesh.ca.issue(Leaf::server());
        if round % 2 == 0 {
            tear(&mesh, &new, &logs).await;
            assert_eq!(
                leaf(&running, &eyes).await,
                known,
                "the old pair stays while the new one is torn"
            );
        }
        new.write_to(mesh.path(), "server");
        known = polyphony_testing::eventually_some(PATIENCE, "the new certificate", async || {
            let seen = leaf(&running, &eyes).await;
            (seen != known).then_some(seen)
        })
        .await;
    }
    let before = done.load(Ordering::SeqCst);
    eventually(PATIENCE, "calls after the last rotation", || {
        done.load(Ordering::SeqCst) > before + 6
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        soon(caller).await.expect("no call was lost");
    }
}

/// Half of a certificate, then a whole one with the old key; each is noticed and told once.
async fn tear(mesh: &Mesh, new: &Issued, logs: &polyphony_testing::Logs) {
    let cert = mesh.path().join("server.pem");
    let told = || {
        logs.matching(Level::WARN, "cannot be used, keeping the old ones")
            .len()
    };
    for text in [&new.cert_pem[..new.cert_pem.len() / 2], &new.cert_pem] {
        let before = told();
        std::fs::write(&cert, text).expect("written");
        eventually(PATIENCE, "the torn pair to be noticed", || told() > before).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(told(), before + 1, "told once, looked at three times");
    }
}

#[tokio::test]
async fn a_reload_by_hand_says_what_it_found() {
    let mesh = Mesh::new();
    let files = mesh.issue(Leaf::server(), "server");
    let tls = ServerTls::load(&server(&files, None), false).expect("it loads");
    assert_eq!(tls.reload(), Reload::Unchanged);
    mesh.issue(Leaf::server(), "server");
    assert_eq!(tls.reload(), Reload::Changed);
    std::fs::remove_file(&files.key).expect("removed");
    assert_eq!(tls.reload(), Reload::Kept);
}

#[tokio::test]
async fn unusable_files_are_named_at_the_start() {
    let mesh = Mesh::new();
    let files = mesh.issue(Leaf::server(), "server");
    let load = |config: &TlsConfig| {
        let error = ServerTls::load(config, false).expect_err("unusable");
        polyphony_error::chain(&error).to_string()
    };
    let mut absent = server(&files, None);
    absent.cert = mesh.path().join("nowhere.pem");
    assert!(load(&absent).contains("nowhere.pem"));
    let swapped = TlsConfig {
        key: files.cert.clone(),
        ..server(&files, None)
    };
    assert!(load(&swapped).contains("server.pem holds no usable private key"));
    let mut unvouched = server(&files, None);
    unvouched.allowed_clients = vec!["spiffe://mesh/asr".to_owned()];
    assert!(load(&unvouched).contains("tls.client_ca"));
    let other = mesh.issue(Leaf::server(), "other");
    let mismatched = TlsConfig {
        key: other.key,
        ..server(&files, None)
    };
    assert!(load(&mismatched).contains("do not go together"));
}
