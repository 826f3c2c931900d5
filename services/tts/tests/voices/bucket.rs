//! A bucket of S3 as far as voices need one, on a socket: objects, lists, and writes that name the version they replace.
//! It checks that requests are signed, not the signature itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Objects by key, each with its version.
type Objects = Arc<Mutex<BTreeMap<String, (u64, Vec<u8>)>>>;

/// A running server with one bucket, "voices".
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    objects: Objects,
}

struct Request {
    method: String,
    /// Without the bucket.
    key: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let objects = Objects::default();
        let shared = Arc::clone(&objects);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&shared)));
            }
        });
        Self { endpoint, objects }
    }

    pub(crate) fn put(&self, key: &str, body: &str) {
        let mut objects = self.objects.lock().expect("not poisoned");
        let version = objects.get(key).map_or(1, |(version, _)| version + 1);
        objects.insert(key.to_owned(), (version, body.as_bytes().to_vec()));
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let objects = self.objects.lock().expect("not poisoned");
        objects.keys().cloned().collect()
    }
}

async fn serve(connection: TcpStream, objects: Objects) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await {
        let (status, headers, body) = answer(&request, &objects);
        let length = if request.method == "DELETE" { 0 } else { body.len() };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
        let written = connection
            .write_all(&[head.as_bytes(), &body[..length]].concat())
            .await;
        if written.is_err() {
            break;
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    connection
        .read_line(&mut line)
        .await
        .ok()
        .filter(|read| *read > 0)?;
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request {
        method,
        key: path
            .trim_start_matches("/voices")
            .trim_start_matches('/')
            .to_owned(),
        query: query.to_owned(),
        headers,
        body,
    })
}

fn answer(request: &Request, objects: &Objects) -> (&'static str, String, Vec<u8>) {
    let signed = request
        .headers
        .get("authorization")
        .is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=id/"));
    if !signed {
        return ("403 Forbidden", String::new(), error("AccessDenied"));
    }
    let mut objects = objects.lock().expect("not poisoned");
    let found = objects
        .get(&request.key)
        .map(|(version, body)| (*version, body.clone()));
    let tag =
        |version: u64| format!("etag: \"{version}\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    match request.method.as_str() {
        "GET" if request.key.is_empty() => ("200 OK", String::new(), list(&request.query, &objects)),
        "GET" => match found {
            Some((version, body)) => ("200 OK", tag(version), body),
            None => ("404 Not Found", String::new(), error("NoSuchKey")),
        },
        "PUT" => {
            let current = found.map_or(0, |(version, _)| version);
            let wanted = request.headers.get("if-match");
            if wanted.is_some_and(|wanted| wanted.trim_matches('"') != current.to_string()) {
                return (
                    "412 Precondition Failed",
                    String::new(),
                    error("PreconditionFailed"),
                );
            }
            objects.insert(request.key.clone(), (current + 1, request.body.clone()));
            ("200 OK", tag(current + 1), Vec::new())
        }
        "DELETE" => {
            objects.remove(&request.key);
            ("204 No Content", String::new(), Vec::new())
        }
        other => panic!("{other} is not expected"),
    }
}

/// `ListObjectsV2`, with and without a delimiter.
fn list(query: &str, objects: &BTreeMap<String, (u64, Vec<u8>)>) -> Vec<u8> {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| *key == name);
        found
            .next()
            .map(|(_, value)| value.replace("%2F", "/"))
            .unwrap_or_default()
    };
    let (prefix, delimited) = (value("prefix"), !value("delimiter").is_empty());
    let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>");
    let mut folders: Vec<&str> = Vec::new();
    for (key, (version, body)) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        match key[prefix.len()..].find('/').filter(|_| delimited) {
            Some(end) => folders.push(&key[..=prefix.len() + end]),
            None => xml.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>\"{version}\"</ETag><Size>{}</Size></Contents>",
                body.len()
            )),
        }
    }
    folders.dedup();
    for folder in folders {
        xml.push_str(&format!(
            "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"
        ));
    }
    xml.push_str("</ListBucketResult>");
    xml.into_bytes()
}

fn error(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>").into_bytes()
}
