//! One shard of `qdrant-edge`: opened when it is needed, guarded, flushed, and opened anew when something went wrong.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};

use polyphony_database::check_room;
use qdrant_edge::{
    EdgeShard, Filter as Conditions, NamedQuery, OperationResult, PointInsertOperations, PointOperations,
    PointStructPersisted, QueryEnum, ScrollRequest, SearchParams, SearchRequest, UpdateOperation,
    WithPayloadInterface, WithVector,
};

use super::making::{self, Description};
use super::point::id;
use crate::Error;
use crate::dense::DenseConfig;
use crate::error::BoxError;
use crate::fuse::Scored;

/// A shard and its folder.
pub(super) struct Shard {
    folder: PathBuf,
    config: DenseConfig,
    min_free: u64,
    /// None until it is needed, and after something went wrong.
    open: RwLock<Option<EdgeShard>>,
    /// Writers take turns: the shard panics where two flush at once.
    writing: Mutex<Written>,
}

/// What was written since.
#[derive(Debug, Default)]
struct Written {
    /// Points, since the graph was last looked at.
    points: usize,
    /// Bytes of the log, since it was last cut.
    log_bytes: u64,
}

/// Points in one change.
const BATCH: usize = 512;
/// Points in one answer when all are listed.
const PAGE: usize = 10_000;
/// The graph is looked at after so many points.
const LOOKED_AT: usize = 2_000;
/// The log is cut when it is about so large.
const LOG_MOST: u64 = 64 << 20;
/// A number in the log takes about so many bytes.
const LOGGED: u64 = 5;

// === impl Shard ===

impl Shard {
    pub(super) fn new(folder: PathBuf, config: DenseConfig, min_free: u64) -> Self {
        Self {
            folder,
            config,
            min_free,
            open: RwLock::new(None),
            writing: Mutex::default(),
        }
    }

    pub(super) fn upsert(&self, dimensions: usize, points: Vec<PointStructPersisted>) -> Result<(), Error> {
        let count = points.len();
        let mut written = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.ensure(Some(dimensions))?;
        let mut rest = points.into_iter();
        self.change(|shard| {
            loop {
                let batch: Vec<_> = rest.by_ref().take(BATCH).collect();
                if batch.is_empty() {
                    return Ok(());
                }
                shard.update(UpdateOperation::PointOperation(PointOperations::UpsertPoints(
                    PointInsertOperations::PointsList(batch),
                )))?;
            }
        })?;
        written.points += count;
        written.log_bytes += count as u64 * (dimensions as u64 * LOGGED + 256);
        self.cut_log(&mut written);
        Ok(())
    }

    pub(super) fn remove(&self, keys: &[i64]) -> Result<(), Error> {
        let mut written = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.ensure(None)? {
            // There is no shard, so nothing is in it.
            return Ok(());
        }
        self.change(|shard| {
            keys.chunks(PAGE).try_for_each(|keys| {
                let ids = keys.iter().map(|&key| id(key)).collect();
                shard.update(UpdateOperation::PointOperation(PointOperations::DeletePoints {
                    ids,
                }))
            })
        })?;
        written.points += keys.len();
        written.log_bytes += keys.len() as u64 * 16;
        self.cut_log(&mut written);
        Ok(())
    }

    pub(super) fn search(
        &self,
        vector: Vec<f32>,
        filter: Conditions,
        limit: usize,
        exact: bool,
    ) -> Result<Vec<Scored>, Error> {
        let params = SearchParams {
            hnsw_ef: Some(self.config.hnsw_ef.max(limit)),
            exact,
            ..SearchParams::default()
        };
        let request = SearchRequest {
            query: QueryEnum::Nearest(NamedQuery::default_dense(vector)),
            filter: Some(filter),
            params: Some(params),
            limit,
            offset: 0,
            with_payload: Some(WithPayloadInterface::Bool(false)),
            with_vector: Some(WithVector::Bool(false)),
            score_threshold: None,
        };
        let found = self.read(|shard| shard.search(request))?;
        let mut scored = Vec::new();
        for point in found.into_iter().flatten() {
            let key = key_of(&point.id)?;
            let score = point.score;
            scored.push(Scored { key, score });
        }
        Scored::sort(&mut scored);
        Ok(scored)
    }

    /// All numbers that the filter lets through, in order. A shard that cannot be opened is put away first.
    pub(super) fn keys(&self, filter: &Conditions) -> Result<Vec<i64>, Error> {
        self.mend()?;
        let mut keys = Vec::new();
        let mut offset = None;
        loop {
            let request = ScrollRequest {
                offset,
                limit: Some(PAGE),
                filter: Some(filter.clone()),
                with_payload: Some(WithPayloadInterface::Bool(false)),
                with_vector: WithVector::Bool(false),
                order_by: None,
            };
            let Some((points, next)) = self.read(|shard| shard.scroll(request))? else {
                return Ok(keys);
            };
            for point in &points {
                keys.push(key_of(&point.id)?);
            }
            offset = next;
            if offset.is_none() {
                keys.sort_unstable();
                return Ok(keys);
            }
        }
    }

    /// Builds graphs, joins small parts and forgets what was deleted, where it is time to.
    pub(super) fn optimize(&self) -> Result<(), Error> {
        let mut written = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if written.points < LOOKED_AT || !self.ensure(None)? {
            return Ok(());
        }
        self.change(|shard| shard.optimize().map(drop))?;
        written.points = 0;
        Ok(())
    }

    /// Deletes a shard that cannot be opened: the ledger has all that was in it.
    fn mend(&self) -> Result<(), Error> {
        let _written = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.ensure(None) {
            Ok(_) => Ok(()),
            Err(error @ Error::Full { .. }) => Err(error),
            Err(error) => {
                let error = polyphony_error::chain(&error).to_string();
                tracing::warn!(folder = %self.folder.display(), error, "an index of vectors is made anew");
                self.close();
                making::delete(&self.folder)
            }
        }
    }

    /// Reads from the shard; none where there is none.
    fn read<T>(&self, work: impl FnOnce(&EdgeShard) -> OperationResult<T>) -> Result<Option<T>, Error> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = &*open {
            return guarded("searching", || work(shard)).map(Some);
        }
        drop(open);
        let written = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.ensure(None)? {
            return Ok(None);
        }
        // Before the turn is given on: the next writer may close the shard, and what is closed is not empty.
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        drop(written);
        let shard = open.as_ref();
        shard
            .map(|shard| guarded("searching", || work(shard)))
            .transpose()
    }

    /// Changes the shard and flushes it. After an error it is closed, for nobody knows what is in it.
    fn change(&self, work: impl FnOnce(&EdgeShard) -> OperationResult<()>) -> Result<(), Error> {
        check_room(&self.folder, self.min_free)?;
        let done = {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            let Some(shard) = &*open else {
                return Err(Error::damaged(
                    "an index of vectors was closed while it was written",
                ));
            };
            guarded("writing", || {
                work(shard)?;
                shard.flush();
                Ok(())
            })
        };
        if done.is_err() {
            self.close();
        }
        done
    }

    /// Opens the shard, making it where there is none and dimensions are told; whether there is one. The caller writes.
    fn ensure(&self, dimensions: Option<usize>) -> Result<bool, Error> {
        if self.open.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(true);
        }
        let opened = match (Description::read(&self.folder), dimensions) {
            (Some(made), _) if made == Description::of(made.dimensions, &self.config) => {
                making::cut_log(&self.folder);
                let config = making::edge_config(made.dimensions, &self.config);
                guarded("opening", || EdgeShard::load(&self.folder, Some(config)))?
            }
            (Some(_), _) => return Err(Error::damaged("an index of vectors was made in another way")),
            (None, Some(dimensions)) => self.create(dimensions)?,
            (None, None) => return Ok(false),
        };
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(true)
    }

    fn create(&self, dimensions: usize) -> Result<EdgeShard, Error> {
        // Whatever is there was not made to the end.
        making::delete(&self.folder)?;
        fs::create_dir_all(&self.folder).map_err(|error| Error::file(&self.folder, "made", error))?;
        check_room(&self.folder, self.min_free)?;
        let config = making::edge_config(dimensions, &self.config);
        let shard = guarded("making", || making::create(&self.folder, config))?;
        Description::of(dimensions, &self.config).write(&self.folder)?;
        Ok(shard)
    }

    fn close(&self) {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        // It flushes as it goes, which may fail again.
        drop(guarded("closing", || {
            drop(open);
            Ok(())
        }));
    }

    /// Closes the shard when its log has grown: only then can the log be cut, which is done when it opens.
    fn cut_log(&self, written: &mut Written) {
        if written.log_bytes >= LOG_MOST {
            written.log_bytes = 0;
            self.close();
        }
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.close();
    }
}

fn key_of(id: &qdrant_edge::PointId) -> Result<i64, Error> {
    match id {
        qdrant_edge::PointId::NumId(number) => i64::try_from(*number).ok(),
        qdrant_edge::PointId::Uuid(_) => None,
    }
    .ok_or_else(|| Error::damaged("the index of vectors has a point that is no passage"))
}

/// Calls the shard; a panic within is an error.
fn guarded<T>(doing: &'static str, work: impl FnOnce() -> OperationResult<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| Error::index("dense", doing, error)),
        Err(panic) => Err(Error::index("dense", doing, said(&*panic))),
    }
}

fn said(panic: &(dyn Any + Send)) -> BoxError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word")).into()
}
