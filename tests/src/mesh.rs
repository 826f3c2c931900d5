//! One running mesh, stopped when it goes out of scope.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::binary;

/// A running mesh.
#[derive(Debug)]
pub struct Mesh {
    process: Child,
    ready: Value,
    data: TempDir,
}

impl Mesh {
    /// Starts a mesh with its embedded defaults, every port a free one, and a model folder of its own.
    ///
    /// # Panics
    /// If it does not become ready within a minute.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more keys set.
    ///
    /// # Panics
    /// As [`Mesh::start`].
    pub fn start_with(keys: &[&str]) -> Self {
        let data = TempDir::new().expect("a temporary folder");
        let mut command = Command::new(binary("polyphony"));
        command.args(["up", "--json"]).current_dir(data.path());
        let models = format!("models.dir={}", data.path().join("models").display());
        let documents = format!("rag.data_dir={}", data.path().join("rag").display());
        let jobs = format!("jobs.data_dir={}", data.path().join("jobs").display());
        let services = [
            "asr",
            "align",
            "diar",
            "llm-proxy",
            "tts",
            "ocr",
            "rag",
            "video-gen",
            "analysis",
        ]
        .map(|name| format!("{name}.server"));
        let ports: Vec<_> = std::iter::once("gateway".to_owned())
            .chain(services)
            .flat_map(|part| ["listen", "admin"].map(|key| format!("{part}.{key}=127.0.0.1:0")))
            .collect();
        for key in ports
            .iter()
            .map(String::as_str)
            // Several meshes run side by side.
            .chain(["llm-proxy.http.listen="])
            .chain([models.as_str(), documents.as_str(), jobs.as_str()])
            .chain(keys.iter().copied())
        {
            command.args(["--set", key]);
        }
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("polyphony starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("its standard output");
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut log = String::new();
            process.kill().expect("it can be killed");
            process
                .stderr
                .take()
                .expect("a pipe")
                .read_to_string(&mut log)
                .expect("its standard error");
            panic!("the mesh did not become ready: {line}\n{log}");
        };
        // Nobody reads its log from here on; a full pipe must not hold it up.
        let mut log = process.stderr.take().expect("a pipe");
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, ready, data }
    }

    /// The gateway's address, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.ready["gateway"]
            .as_str()
            .expect("the ready line names the gateway")
    }

    /// The gateway's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The ready line.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.data.path()
    }

    /// A channel to the gateway.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(self.url()).expect("an address");
        endpoint.connect().await.expect("the gateway accepts")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "the mesh is gone already");
    }

    /// Waits for the process to end.
    ///
    /// # Panics
    /// If it has not ended within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("its status") {
                return status;
            }
            assert!(started.elapsed() < limit, "the mesh still runs after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.process.kill().expect("it can be killed");
            self.process.wait().expect("its status");
        }
    }
}
