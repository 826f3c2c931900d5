//! A stand-in for the model hub, on loopback.
//!
//! It answers as the Hugging Face hub does: `/{repo}/resolve/{revision}/{path}` with `X-Repo-Commit`; a large file is a
//! redirect to a CDN (another port) with `X-Linked-Size` and `X-Linked-ETag`; a small one a relative redirect to a cache
//! path with its git blob id as `ETag`; ranges; `X-Error-Code` on refusals. It can be told to misbehave.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use polyphony_models::Sha256;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";
pub(crate) const REPO: &str = "acme/tiny";

/// A running stand-in. Stops when dropped.
pub(crate) struct StandIn {
    hub: SocketAddr,
    state: Arc<Mutex<State>>,
    _servers: JoinSet<()>,
}

/// What it serves, how it misbehaves, and what it was asked.
pub(crate) struct State {
    /// By commit and path.
    pub(crate) files: BTreeMap<(String, String), File>,
    /// What `main` is.
    pub(crate) main: String,
    /// Without this token: 401.
    pub(crate) token: Option<String>,
    /// Misbehaviour when asked about a file, by its path; the last is kept once the others are used up.
    answers: BTreeMap<String, Vec<Fault>>,
    /// Misbehaviour when its bytes are sent.
    bodies: BTreeMap<String, Vec<Fault>>,
    /// All requests, in order.
    pub(crate) asked: Vec<Asked>,
    /// Bytes of bodies that were sent.
    pub(crate) sent: u64,
}

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) large: bool,
}

/// How an answer about a file goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    None,
    /// The body stops after so many bytes, and the connection closes.
    Cut(usize),
    /// The body stops after so many bytes, and the connection stays.
    Stall(usize),
    /// No answer to anything.
    Hang,
    /// Another body, with its own true length.
    Body(Vec<u8>),
    /// Another body, without a length.
    Chunked(Vec<u8>),
    /// The whole body, whatever range was asked for.
    NoRanges,
    /// A status.
    Status(&'static str),
    /// A header more or instead, on the first answer.
    Header(&'static str, String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) cdn: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
}

type Headers = Vec<(String, String)>;

// === impl StandIn ===

impl StandIn {
    pub(crate) async fn start(files: &[(&str, &[u8])]) -> Self {
        let hub = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cdn = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cdn_address = cdn.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            main: COMMIT.to_owned(),
            token: None,
            answers: BTreeMap::new(),
            bodies: BTreeMap::new(),
            asked: Vec::new(),
            sent: 0,
        }));
        let mut servers = JoinSet::new();
        let address = hub.local_addr().expect("an address");
        servers.spawn(serve(hub, false, cdn_address, Arc::clone(&state)));
        servers.spawn(serve(cdn, true, cdn_address, Arc::clone(&state)));
        let stand_in = Self {
            hub: address,
            state,
            _servers: servers,
        };
        for (path, content) in files {
            stand_in.put(COMMIT, path, content);
        }
        stand_in
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.hub)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic in the stand-in")
    }

    /// Serves a file; like the hub, it keeps graphs and their weights on a CDN.
    pub(crate) fn put(&self, commit: &str, path: &str, content: &[u8]) {
        let file = File {
            content: content.to_vec(),
            large: path.contains(".onnx"),
        };
        self.state()
            .files
            .insert((commit.to_owned(), path.to_owned()), file);
    }

    /// Misbehaves in this way from now on, and in no other.
    pub(crate) fn fault(&self, path: &str, faults: &[Fault]) {
        let (bodies, answers): (Vec<_>, Vec<_>) = faults.iter().cloned().partition(Fault::is_of_bytes);
        let mut state = self.state();
        // A `None` at the end is the end of the misbehaviour.
        let ends = matches!(faults.last(), Some(Fault::None));
        let good = ends.then_some(Fault::None);
        state
            .bodies
            .insert(path.to_owned(), bodies.into_iter().chain(good.clone()).collect());
        state.answers.insert(
            path.to_owned(),
            answers
                .into_iter()
                .filter(|fault| !matches!(fault, Fault::None))
                .chain(good)
                .collect(),
        );
    }

    /// The requests for bytes.
    pub(crate) fn downloads(&self) -> Vec<Asked> {
        let state = self.state();
        let bytes = |asked: &&Asked| asked.method == "GET" && (asked.cdn || asked.path.starts_with("/api/"));
        state.asked.iter().filter(bytes).cloned().collect()
    }
}

async fn serve(listener: TcpListener, cdn: bool, cdn_address: SocketAddr, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // A client that goes away is no failure of the stand-in.
            drop(answer(stream, cdn, cdn_address, &state).await);
        });
    }
}

/// Answers one request and closes the connection.
async fn answer(
    stream: TcpStream,
    cdn: bool,
    cdn_address: SocketAddr,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let asked = read(&mut stream, cdn).await?;
    let (status, mut headers, body, fault) = {
        let mut state = state.lock().expect("no panic in the stand-in");
        state.asked.push(asked.clone());
        respond(&mut state, &asked, cdn_address)
    };
    let mut stream = stream.into_inner();
    let mut body = if asked.method == "HEAD" { Vec::new() } else { body };
    let mut limit = body.len();
    match &fault {
        Fault::Hang => std::future::pending::<()>().await,
        Fault::Cut(at) | Fault::Stall(at) if !body.is_empty() => limit = limit.min(*at),
        Fault::Chunked(other) if !body.is_empty() => {
            headers.retain(|(name, _)| name != "Content-Length");
            headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
            body = [
                format!("{:x}\r\n", other.len()).as_bytes(),
                other,
                b"\r\n0\r\n\r\n",
            ]
            .concat();
            limit = body.len();
        }
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    for chunk in body[..limit].chunks(64 * 1024) {
        stream.write_all(chunk).await?;
        state.lock().expect("no panic in the stand-in").sent += chunk.len() as u64;
    }
    if let Fault::Stall(_) = fault {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}

async fn read(stream: &mut BufReader<TcpStream>, cdn: bool) -> io::Result<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    let mut asked = Asked {
        cdn,
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        ..Asked::default()
    };
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            return Ok(asked);
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = Some(value.to_owned()),
            "authorization" => asked.token = Some(value.to_owned()),
            _ => {}
        }
    }
}

fn respond(state: &mut State, asked: &Asked, cdn: SocketAddr) -> (&'static str, Headers, Vec<u8>, Fault) {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let refuse = |status, code: &str| {
        (
            status,
            vec![header("X-Error-Code", code)],
            Vec::new(),
            Fault::None,
        )
    };
    let path = asked.path.split('?').next().unwrap_or_default();
    let parts: Vec<_> = path.trim_start_matches('/').splitn(5, '/').collect();
    let (commit, path) = match *parts.as_slice() {
        // /OWNER/NAME/resolve/REVISION/PATH on the hub, /blobs/COMMIT/-/-/PATH on the CDN.
        [owner, name, "resolve", revision, path] => {
            if format!("{owner}/{name}") != REPO {
                return refuse("401 Unauthorized", "RepoNotFound");
            }
            (
                if revision == "main" {
                    state.main.clone()
                } else {
                    revision.to_owned()
                },
                path,
            )
        }
        ["blobs", commit, _, _, path] if asked.cdn => (commit.to_owned(), path),
        ["api", "resolve-cache", "models", commit, path] => (commit.to_owned(), path),
        _ => return refuse("404 Not Found", "RepoNotFound"),
    };
    let is_resolve = parts.get(2) == Some(&"resolve");
    let faults = match (is_resolve, asked.method.as_str()) {
        (true, _) => state.answers.get_mut(path),
        (false, "GET") => state.bodies.get_mut(path),
        (false, _) => None,
    };
    let fault = match faults {
        Some(faults) if faults.len() > 1 => faults.remove(0),
        Some(faults) => faults.first().cloned().unwrap_or(Fault::None),
        None => Fault::None,
    };
    if let Fault::Status(status) = fault {
        return (
            status,
            vec![header("Retry-After", "0"), header("Content-Length", "0")],
            Vec::new(),
            fault,
        );
    }
    let token = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if !asked.cdn && token.is_some() && asked.token != token {
        return refuse("401 Unauthorized", "GatedRepo");
    }
    if !state.files.keys().any(|(known, _)| *known == commit) {
        return refuse("404 Not Found", "RevisionNotFound");
    }
    let Some(file) = state.files.get(&(commit.clone(), path.to_owned())) else {
        return refuse("404 Not Found", "EntryNotFound");
    };
    let length = file.content.len();
    if is_resolve {
        let mut headers = vec![header("X-Repo-Commit", &commit), header("Content-Length", "0")];
        let status = if file.large {
            headers.push(header(
                "Location",
                &format!("http://{cdn}/blobs/{commit}/-/-/{path}?signature=x"),
            ));
            headers.push(header("X-Linked-Size", &length.to_string()));
            headers.push(header(
                "X-Linked-ETag",
                &format!("\"{}\"", Sha256::of(&file.content)),
            ));
            "302 Found"
        } else {
            headers.push(header(
                "Location",
                &format!("/api/resolve-cache/models/{commit}/{path}"),
            ));
            "307 Temporary Redirect"
        };
        if let Fault::Header(name, value) = &fault {
            headers.retain(|(known, _)| known != name);
            headers.push(header(name, value));
        }
        return (status, headers, Vec::new(), fault);
    }
    let mut headers = vec![header("ETag", &format!("\"{}\"", git_blob(&file.content)))];
    if let Fault::Body(other) = &fault {
        headers.push(header("Content-Length", &other.len().to_string()));
        return ("200 OK", headers, other.clone(), Fault::None);
    }
    let start = asked.range.as_deref().and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    match start.filter(|_| !matches!(fault, Fault::NoRanges)) {
        Some(start) if start < length => {
            headers.push(header("Content-Length", &(length - start).to_string()));
            headers.push(header(
                "Content-Range",
                &format!("bytes {start}-{}/{length}", length - 1),
            ));
            (
                "206 Partial Content",
                headers,
                file.content[start..].to_vec(),
                fault,
            )
        }
        Some(_) => ("416 Range Not Satisfiable", headers, Vec::new(), fault),
        None => {
            headers.push(header("Content-Length", &length.to_string()));
            ("200 OK", headers, file.content.clone(), fault)
        }
    }
}

fn git_blob(content: &[u8]) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(format!("blob {}\0", content.len()));
    sha1.update(content);
    sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

// === impl Fault ===

impl Fault {
    /// Whether it is one of the bytes, not of what the hub says about them.
    fn is_of_bytes(&self) -> bool {
        !matches!(self, Self::Hang | Self::Status(_) | Self::Header(..) | Self::None)
    }
}
