//! The store: ledger, both indexes and the bytes that wait, as one thing that keeps its promises.
//!
//! What is acknowledged is in the ledger and on the disk. A document goes ledger → vectors → words → ready, and each step
//! can be done again; what disappears is hidden in the ledger first. So whatever a crash leaves, the next start finishes it
//! from the ledger, and each index is compared with the ledger before it is first used ([`Store::ensure`]).

mod audit;
mod documents;
mod indexing;
mod ring;
mod spaces;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_database::{check_room, own};
use polyphony_error::{Fault, Kind};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use audit::Audit;
pub use documents::DocumentListing;
pub(crate) use indexing::blocking;
pub(crate) use spaces::{ID_RULE, is_id, owner};

use crate::config::Config;
use crate::dense::edge::Edge;
use crate::dense::server::Server;
use crate::dense::{Dense, DenseEngine};
use crate::engine::{Models, Prepare};
use crate::ingest::Board;
use crate::ingest::worker::Queue;
use crate::ledger::Ledger;
use crate::lexical::Lexical;
use crate::scope::SpaceKey;
use crate::staging::Staging;
use crate::{Error, Scope};
use ring::Ring;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    folder: PathBuf,
    ledger: Ledger,
    dense: Box<dyn Dense>,
    lexical: Lexical,
    staging: Staging,
    models: Arc<dyn Models>,
    prepare: Arc<dyn Prepare>,
    board: Board,
    queue: Queue,
    ring: Ring,
    rooms: Mutex<HashMap<SpaceKey, Arc<Room>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Held while the store is open: one process to a folder.
    _lock: File,
}

/// What this process knows of one space.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Held by who changes an index of the space.
    writing: tokio::sync::Mutex<()>,
    /// Both indexes were compared with the ledger, and nothing went wrong since.
    sound: AtomicBool,
}

// === impl Store ===

impl Store {
    /// Opens the store of the configuration, mends what a crash has left, and begins to work on what waits.
    ///
    /// # Errors
    /// When another process has it open, or the ledger cannot be opened.
    pub async fn open(
        config: Config,
        models: Arc<dyn Models>,
        prepare: Arc<dyn Prepare>,
    ) -> Result<Self, Error> {
        let refused = |(key, problem): (&'static str, String)| {
            Error::Request(Fault::invalid(format!("rag.{key}"), problem))
        };
        if let Some(fault) = config.fault() {
            return Err(refused(fault));
        }
        let folder = config.folder().map_err(refused)?;
        let lock = own(&folder)?;
        let ledger = Ledger::open(
            config.ledger_url.as_ref().map(|url| url.expose().as_str()),
            &folder,
        )
        .await?;
        let min_free = config.min_free.bytes();
        let staging = Staging::new(folder.join("staged"), min_free, config.max_document_bytes.bytes())?;
        let dense: Box<dyn Dense> = match config.dense.engine {
            DenseEngine::Edge => Box::new(Edge::new(folder.join("dense"), config.dense.clone(), min_free)),
            DenseEngine::Server => Box::new(Server::new(&config.dense)?),
        };
        let lexical = Lexical::new(folder.join("lexical"), config.lexical.clone(), config.open_spaces);
        let ring = Ring::new(config.replicas);
        let store = Self {
            inner: Arc::new(Inner {
                config,
                folder,
                ledger,
                dense,
                lexical,
                staging,
                models,
                prepare,
                board: Board::default(),
                queue: Queue::default(),
                ring,
                rooms: Mutex::default(),
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
                _lock: lock,
            }),
        };
        let left = store.mend().await?;
        store.begin_work(left);
        Ok(store)
    }

    /// Stops the workers, waits for what they cannot leave, and closes the ledger. What waits is done after the next start.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.ledger.close().await;
    }

    /// Whether searches and ingestions can be answered now.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn check(&self) -> Result<(), Error> {
        self.inner.dense.check().await?;
        self.inner.ledger.live_spaces().await.map(drop)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn dense(&self) -> &dyn Dense {
        &*self.inner.dense
    }

    pub(crate) fn lexical(&self) -> &Lexical {
        &self.inner.lexical
    }

    pub(crate) fn staging(&self) -> &Staging {
        &self.inner.staging
    }

    pub(crate) fn models(&self) -> &dyn Models {
        &*self.inner.models
    }

    pub(crate) fn prepare(&self) -> &dyn Prepare {
        &*self.inner.prepare
    }

    pub(crate) fn board(&self) -> &Board {
        &self.inner.board
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Nothing is written while there is little room, so that what is half done can be finished.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        Ok(check_room(
            &self.inner.folder,
            self.inner.config.min_free.bytes(),
        )?)
    }

    /// Whether this process answers for the space.
    ///
    /// # Errors
    /// FAILED_PRECONDITION that names the replica which does.
    pub(crate) fn check_mine(&self, scope: &Scope) -> Result<(), Error> {
        let own = self.inner.config.replica;
        let owner = self.inner.ring.owner(scope.key());
        if owner == own {
            return Ok(());
        }
        let text = format!(
            "spaces/{} is kept by replica {owner} of {}, and this is replica {own}; send it there",
            scope.space(),
            self.inner.config.replicas
        );
        Err(Fault::new(Kind::FailedPrecondition, "SPACE_OF_ANOTHER_REPLICA", text).into())
    }

    pub(crate) fn is_mine(&self, space: i64) -> bool {
        self.inner.ring.owner_of(space) == self.inner.config.replica
    }

    pub(crate) fn room(&self, scope: &Scope) -> Arc<Room> {
        let mut rooms = self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rooms.entry(scope.key()).or_default())
    }

    pub(crate) fn forget_room(&self, scope: &Scope) {
        let mut rooms = self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.remove(&scope.key());
    }
}

// === impl Room ===

impl Room {
    pub(crate) fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    pub(crate) fn set_sound(&self, sound: bool) {
        self.sound.store(sound, Ordering::Release);
    }

    pub(crate) async fn write(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writing.lock().await
    }
}
