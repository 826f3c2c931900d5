//! Brings models onto the disk: asks the hub, downloads, verifies, and places each model as a whole.
//!
//! A pull can be cut off anywhere. What has arrived stays in the staging folder and the next pull goes on from there; a
//! model is visible to [`Store::find`](crate::Store::find) only once every file is verified, and then all at once. Two
//! processes that pull the same model take turns, and the second finds the work done.

mod fetch;
mod plan;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use polyphony_error::chain;
use tokio::sync::watch;

pub use progress::{FileProgress, Progress, Stage};

use crate::manifest::{FORMAT, sync_folder, write_json};
use crate::names::MANIFEST;
use crate::source::Hub;
use crate::store::{Lock, Pin, Pins, check_graph};
use crate::{
    Entry, Error, FileRecord, Installed, Manifest, ModelId, ModelRef, ModelsConfig, Revision, Source, Store,
    Variant, VariantEntry,
};
use plan::Plan;
use progress::Reporter;

/// Brings models into a [`Store`].
#[derive(Debug, Clone)]
pub struct Puller {
    store: Store,
    config: ModelsConfig,
}

/// How to pull.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullOptions {
    /// The revision to move to: a branch, a tag or a commit of the hub. Without one a pull gets what it got before, or
    /// the first time what the catalogue says.
    pub revision: Option<Revision>,
}

/// One pull from the hub.
struct Job<'a> {
    store: &'a Store,
    entry: &'a Entry,
    variant: &'a VariantEntry,
    source: &'a Source,
    repo: &'a ModelId,
    wanted: Revision,
    pin: Option<Pin>,
    /// Held by every piece of work that goes on when this pull is dropped.
    lock: Arc<Lock>,
    reporter: Reporter<'a>,
}

/// How often to look whether another process is done.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The name of the lock of all pins. No model has it: an id does not begin with a point.
const PINS_LOCK: &str = ".pins";

// === impl Puller ===

impl Puller {
    /// Checks the addresses of the hubs. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if an address or the token cannot be used.
    pub fn new(store: Store, config: &ModelsConfig) -> Result<Self, Error> {
        Hub::check(config)?;
        Ok(Self {
            store,
            config: config.clone(),
        })
    }

    /// Brings a model onto the disk; of its forms the one that is named, or the first. A model that is there already,
    /// verified, is left alone. What pip, apt or a person must bring is looked for, verified and recorded.
    ///
    /// Drop the future to stop; what has arrived is kept. `progress` always has the latest state.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Unavailable`]; [`Error::Offline`], [`Error::Unreachable`] within the connect
    /// timeout; [`Error::Denied`] for gated models; [`Error::Missing`]; [`Error::NoSpace`]; [`Error::WrongSize`],
    /// [`Error::WrongBytes`], [`Error::NotAsPinned`], [`Error::Corrupt`] for what does not verify.
    pub async fn pull(
        &self,
        model: &ModelRef,
        options: &PullOptions,
        progress: &watch::Sender<Progress>,
    ) -> Result<Installed, Error> {
        let (entry, source, variant) = self.store.catalogue().select(model)?;
        let exact = ModelRef::exact(entry.id.clone(), variant.name.clone());
        let reporter = Reporter::new(progress);
        let Source::Hub { repo, revision } = source else {
            reporter.stage(Stage::Verifying);
            let store = self.store.clone();
            let installed = blocking(move || store.record_anew(&exact)).await?;
            reporter.done(&installed.files);
            return Ok(installed);
        };
        if let Some(installed) = self.already(&exact, options, &reporter).await? {
            return Ok(installed);
        }
        if self.config.offline {
            return Err(Error::Offline(exact));
        }
        let lock = Arc::new(self.lock(&exact.id, &variant.name, &reporter).await?);
        // Whoever had the lock may have done the work.
        if let Some(installed) = self.already(&exact, options, &reporter).await? {
            return Ok(installed);
        }
        let pin = match options.revision {
            Some(_) => None,
            None => Pins::get(self.store.layout(), &exact, source)?,
        };
        let pinned = pin.as_ref().map(|pin| pin.commit.clone());
        let wanted = options
            .revision
            .clone()
            .or(pinned)
            .unwrap_or_else(|| revision.clone());
        let job = Job {
            store: &self.store,
            entry,
            variant,
            source,
            repo,
            wanted,
            pin,
            lock,
            reporter,
        };
        self.try_each_hub(&job).await?;
        let store = self.store.clone();
        blocking(move || store.find(&exact))
            .await
            .inspect(|installed| job.reporter.done(&installed.files))
    }

    /// The model, if it is on disk, whole, and at the revision that is wanted.
    async fn already(
        &self,
        exact: &ModelRef,
        options: &PullOptions,
        reporter: &Reporter<'_>,
    ) -> Result<Option<Installed>, Error> {
        if options.revision.is_some() {
            return Ok(None);
        }
        let (store, model) = (self.store.clone(), exact.clone());
        match blocking(move || store.find(&model)).await {
            Ok(installed) => {
                reporter.done(&installed.files);
                Ok(Some(installed))
            }
            Err(Error::NotInstalled { .. }) => Ok(None),
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(model = %exact, error = %chain(&error), "what is on disk is pulled again");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn lock(&self, id: &ModelId, variant: &Variant, reporter: &Reporter<'_>) -> Result<Lock, Error> {
        loop {
            if let Some(lock) = self.store.layout().try_lock(id, variant)? {
                return Ok(lock);
            }
            reporter.stage(Stage::Waiting);
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Tries the hubs in turn. What came from one is kept for the next: the digest decides, not the sender.
    async fn try_each_hub(&self, job: &Job<'_>) -> Result<(), Error> {
        let mut first_error = None;
        for hub in Hub::all(&self.config)? {
            let error = match job.run(&hub).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let other_hub_may_help = matches!(
                error,
                Error::Unreachable { .. }
                    | Error::Denied { .. }
                    | Error::Missing { .. }
                    | Error::Hub { .. }
                    | Error::WrongSize { .. }
                    | Error::WrongBytes { .. }
                    | Error::NotAsPinned { .. }
            );
            if !other_hub_may_help {
                return Err(error);
            }
            tracing::info!(hub = hub.name(), model = %job.entry.id, error = %chain(&error), "this hub did not bring the model");
            first_error.get_or_insert(error);
        }
        Err(first_error.unwrap_or_else(|| Error::Config {
            key: "models.hub_endpoints",
            problem: "is empty; name a hub, or set models.offline".to_owned(),
        }))
    }
}

// === impl Job ===

impl Job<'_> {
    async fn run(&self, hub: &Hub) -> Result<(), Error> {
        self.reporter.stage(Stage::Resolving);
        let plan = Plan::make(hub, self.repo, &self.wanted, self.variant, self.pin.as_ref()).await?;
        let (id, variant) = (&self.entry.id, &self.variant.name);
        let staging = self
            .store
            .layout()
            .staging(id, variant)
            .join(plan.commit.as_str());
        plan.prepare(&self.lock, &staging).await?;
        self.reporter.begin(&plan);
        let mut records = Vec::with_capacity(plan.files.len());
        for (index, file) in plan.files.iter().enumerate() {
            let fetch = fetch::Fetch {
                hub,
                repo: self.repo,
                commit: &plan.commit,
                file,
                staging: &staging,
                lock: &self.lock,
                reporter: self.reporter.file(index),
            };
            records.push(fetch.run().await?);
        }
        self.reporter.stage(Stage::Placing);
        self.place(plan.commit, staging, records).await
    }

    async fn place(&self, commit: Revision, staging: PathBuf, files: Vec<FileRecord>) -> Result<(), Error> {
        let manifest = Manifest {
            format: FORMAT,
            model: self.entry.id.clone(),
            variant: self.variant.name.clone(),
            task: self.entry.task.clone(),
            engine: self.entry.engine.clone(),
            description: self.entry.description.clone(),
            licence: self.entry.licence.clone(),
            memory_bytes: self.variant.memory_bytes,
            source: self.source.clone(),
            revision: commit.clone(),
            pulled_at_millis: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX)),
            files,
        };
        let pin = Pin {
            source: self.source.clone(),
            commit,
            files: manifest.files.clone(),
        };
        let layout = self.store.layout().clone();
        locked(&self.lock, move || {
            let model = ModelRef::exact(manifest.model.clone(), manifest.variant.clone());
            let names: Vec<_> = manifest.files.iter().map(|file| file.path.clone()).collect();
            for file in manifest.files.iter().filter(|file| file.path.is_onnx()) {
                let path = staging.join(file.path.native());
                let open =
                    std::fs::File::open(&path).map_err(Error::io(format!("open {}", path.display())))?;
                check_graph(&model, &path, &file.path, &open, file.bytes, &names)?;
            }
            let doing = || format!("write {}", staging.display());
            write_json(&staging.join(MANIFEST), &manifest).map_err(Error::io(doing()))?;
            for folder in names
                .iter()
                .filter_map(|name| staging.join(name.native()).parent().map(PathBuf::from))
            {
                sync_folder(&folder).map_err(Error::io(doing()))?;
            }
            layout.place(&staging, &manifest.model, &manifest.variant, &manifest.revision)?;
            let _pins = loop {
                match layout.try_lock_named(PINS_LOCK)? {
                    Some(lock) => break lock,
                    None => std::thread::sleep(Duration::from_millis(5)),
                }
            };
            Pins::set(&layout, model, pin)
        })
        .await
    }
}

/// Runs work on the files of a model. They stay locked until it ends, also when nobody waits for it any more.
async fn locked<T: Send + 'static>(
    lock: &Arc<Lock>,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let lock = Arc::clone(lock);
    blocking(move || {
        let outcome = work();
        drop(lock);
        outcome
    })
    .await
}

/// Runs work that waits for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime goes down, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}
