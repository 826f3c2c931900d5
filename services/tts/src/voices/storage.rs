//! Where voices are stored: a folder, or a bucket of S3 or of whatever speaks like it.

use std::ffi::OsString;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{ClientOptions, HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use polyphony_config::{Secret, data_dir};
use serde::{Deserialize, Serialize};

use super::Error;

/// `[tts.voices]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VoicesConfig {
    /// Where: "s3://bucket/prefix" or the path of a folder. Empty, the default: `voices` in the data folder of Polyphony
    /// ([`polyphony_config::data_dir`]). One process to a folder; a bucket may have several.
    pub url: String,
    /// The region of the bucket. Unset: of `AWS_REGION`, else us-east-1.
    pub region: Option<String>,
    /// Where S3 is, if it is not Amazon's, as `https://minio.internal:9000`.
    pub endpoint: Option<String>,
    /// Half of a key. Unset: as the environment says (`AWS_ACCESS_KEY_ID`, a web identity, the machine's own role).
    pub access_key_id: Option<String>,
    /// The other half (`secret_access_key_file` in a configuration file).
    pub secret_access_key: Option<Secret<String>>,
}

/// An open store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Storage {
    place: Place,
    prefix: Path,
}

#[derive(Debug, Clone)]
enum Place {
    /// There may be no such folder yet: then there are no voices.
    Folder(PathBuf),
    Bucket(Arc<AmazonS3>),
}

/// Makes HTTP clients that trust what the system trusts, with the one TLS provider of this program.
#[derive(Debug)]
struct Connector;

/// How long an answer of the bucket is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const URL: &str = "tts.voices.url";

// === impl Storage ===

impl Storage {
    /// The store of the configuration. `variable` reads the environment.
    ///
    /// # Errors
    /// [`Error::Config`] for keys that cannot be used.
    pub fn new(config: &VoicesConfig, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let invalid = |problem: String| Error::Config { key: URL, problem };
        if let Some(rest) = config.url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(invalid(
                    "must name a bucket, as \"s3://bucket/prefix\"".to_owned(),
                ));
            }
            let prefix = Path::parse(prefix).map_err(|error| invalid(error.to_string()))?;
            return Ok(Self {
                place: Place::Bucket(Arc::new(bucket_of(config, bucket, &variable)?)),
                prefix,
            });
        }
        if config.url.contains("://") {
            return Err(invalid(
                "must be \"s3://bucket/prefix\" or the path of a folder".to_owned(),
            ));
        }
        if config.region.is_some() || config.endpoint.is_some() || config.access_key_id.is_some() {
            return Err(invalid(
                "must be \"s3://…\" where region, endpoint or access_key_id is set".to_owned(),
            ));
        }
        let folder = if config.url.is_empty() {
            data_dir(variable)
                .ok_or_else(|| invalid("is not set, and no home says where voices are kept".to_owned()))?
                .join("voices")
        } else {
            PathBuf::from(&config.url)
        };
        Ok(Self::folder(folder))
    }

    /// A store in this folder.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Folder(folder.into()),
            prefix: Path::default(),
        }
    }

    /// The store; none while its folder does not exist.
    pub(super) fn open(&self) -> Result<Option<Arc<dyn ObjectStore>>, Error> {
        match &self.place {
            Place::Bucket(bucket) => Ok(Some(Arc::clone(bucket) as Arc<dyn ObjectStore>)),
            Place::Folder(folder) => open_folder(folder).map_err(|source| self.failed(source)),
        }
    }

    /// Whether the store itself compares versions when it writes.
    pub(super) const fn compares(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    pub(super) const fn prefix(&self) -> &Path {
        &self.prefix
    }

    pub(super) const fn failed(&self, source: object_store::Error) -> Error {
        Error::Store { key: URL, source }
    }
}

/// Looks at the disk for a moment. What a voice leaves behind is its empty folder, which goes too.
fn open_folder(folder: &FilePath) -> object_store::Result<Option<Arc<dyn ObjectStore>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let store = LocalFileSystem::new_with_prefix(folder)?
        .with_fsync(true)
        .with_automatic_cleanup(true);
    Ok(Some(Arc::new(store)))
}

fn bucket_of(
    config: &VoicesConfig,
    bucket: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<AmazonS3, Error> {
    // Somebody waits for the answer.
    let retry = RetryConfig {
        max_retries: 3,
        retry_timeout: PATIENCE,
        ..RetryConfig::default()
    };
    let client = ClientOptions::new()
        .with_connect_timeout(PATIENCE)
        .with_timeout(PATIENCE);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_http_connector(Connector)
        .with_retry(retry)
        .with_client_options(client)
        // Not all that speak like S3 know it.
        .with_disable_bulk_delete(true);
    // What AWS's own tools read, but for the configuration of polyphony, which comes after.
    for key in [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
        AmazonS3ConfigKey::Token,
        AmazonS3ConfigKey::DefaultRegion,
        AmazonS3ConfigKey::Region,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::RoleArn,
        AmazonS3ConfigKey::RoleSessionName,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
        AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    ] {
        let name = key.as_ref().to_ascii_uppercase();
        if let Some(value) = variable(&name).and_then(|value| value.into_string().ok()) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &config.endpoint {
        let allow_http = endpoint.starts_with("http://");
        builder = builder.with_endpoint(endpoint).with_allow_http(allow_http);
    }
    if let Some(id) = &config.access_key_id {
        let secret = config.secret_access_key.as_ref().ok_or(Error::Config {
            key: "tts.voices.secret_access_key",
            problem: "must be set where tts.voices.access_key_id is".to_owned(),
        })?;
        builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(secret.expose());
    }
    builder.build().map_err(|error| Error::Config {
        key: URL,
        problem: error.to_string(),
    })
}

// === impl Connector ===

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Another part of this process may have been first; the provider is the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        object_store::client::ReqwestConnector::default().connect(options)
    }
}
