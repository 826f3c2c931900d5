//! A document from its bytes to its pages: what `RecognizeImage`, `StreamDocument`, `BatchProcess` and
//! `ClassifyDocument` have in common.
//!
//! All of it blocks, and all of a job runs on one thread: the process that opens its document ends with the thread that
//! started it.

use std::time::{Duration, Instant};

use polyphony_chassis::places::{Patience, Places};
use polyphony_error::Fault;
use polyphony_inference::Cancel;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, receipt};
use prost::bytes::Bytes;
use tokio::runtime::Handle;

use crate::convert::pages::Ranges;
use crate::convert::request::{Asked, Plan};
use crate::document::MediaType;
use crate::domain::EngineInfo;
use crate::engines::{Engines, InUse};
use crate::error::Error;
use crate::read::{self, Read};
use crate::reader::{OpenDocument, Readers};
use crate::reading::Page;

/// What every job needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) readers: Readers,
    pub(crate) engines: Engines,
    pub(crate) places: Places,
    /// The most pages that one job may read.
    pub(crate) max_pages: u32,
}

/// A document and how to read it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) bytes: Bytes,
    pub(crate) asked: Asked,
    pub(crate) ranges: Ranges,
    /// Where the document stood in the request.
    pub(crate) field: String,
    /// The id of the call, for receipts.
    pub(crate) call: String,
}

/// A job whose document is open and whose model is loaded.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) plan: Plan,
    /// The pages that are to be read, in order.
    pub(crate) pages: Vec<u32>,
    document: OpenDocument,
    engine: InUse,
    field: String,
    call: String,
    cancel: Cancel,
    began: Instant,
    queued: Duration,
    inference: Duration,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The document is good; the model is taken, and loaded if it has to be.
    Loading,
    /// Pages are being read.
    Running,
}

// === impl Job ===

impl Job {
    /// Opens the document, then loads the model: bad documents are refused before a model is loaded for them. `check` may
    /// refuse what was found.
    pub(crate) fn start(
        self,
        tools: &Tools,
        cancel: &Cancel,
        check: impl FnOnce(&OpenDocument) -> Result<(), Fault>,
        stage: &dyn Fn(Stage),
    ) -> Result<Running, Fault> {
        let began = Instant::now();
        let Self {
            bytes,
            asked,
            ranges,
            field,
            call,
        } = self;
        let opened = tools.readers.open(bytes, cancel);
        let document = opened.map_err(|trouble| trouble.fault(&field))?;
        check(&document)?;
        let pages = ranges.pages(document.page_count(), tools.max_pages, &field)?;
        stage(Stage::Loading);
        let engine = Handle::current().block_on(tools.engines.acquire_for(&asked.model, asked.suits()))?;
        let plan = asked.fit(engine.info())?;
        stage(Stage::Running);
        Ok(Running {
            plan,
            pages,
            document,
            engine,
            field,
            call,
            cancel: cancel.clone(),
            began,
            queued: Duration::ZERO,
            inference: Duration::ZERO,
        })
    }
}

// === impl Running ===

impl Running {
    /// Reads a page as soon as there is a worker for it.
    pub(crate) fn page_in_turn(&mut self, number: u32, places: &Places) -> Result<Page, Fault> {
        let waiting = async {
            tokio::select! {
                place = places.worker(Patience::Endless) => place.map(Some),
                () = gone(&self.cancel) => Ok(None),
            }
        };
        let Some(place) = Handle::current().block_on(waiting)? else {
            return Err(Error::Cancelled.into());
        };
        self.queued += place.waited;
        self.page(number)
    }

    /// Reads a page, whose worker the caller holds.
    pub(crate) fn page(&mut self, number: u32) -> Result<Page, Fault> {
        let Read { page, inference } = read::page(
            &mut self.document,
            number,
            &self.plan,
            &**self.engine,
            &self.cancel,
            &self.field,
        )?;
        self.inference += inference;
        Ok(page)
    }

    /// The time that was waited before the job began.
    pub(crate) fn waited(&mut self, queued: Duration) {
        self.queued += queued;
    }

    pub(crate) fn media_type(&self) -> MediaType {
        self.document.media_type()
    }

    pub(crate) fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    /// With what it is done; before the first page, with what it will be.
    pub(crate) fn receipt(&self) -> types::Receipt {
        receipt(&self.call, &self.info().provenance, self.spent())
    }

    /// Where the time went.
    pub(crate) fn spent(&self) -> Spent {
        let at_work = !self.inference.is_zero();
        Spent {
            queue: Some(self.queued),
            load: self.engine.load,
            inference: at_work.then_some(self.inference),
            total: at_work.then(|| self.began.elapsed() + self.queued),
        }
    }
}

/// Completes when somebody goes away.
async fn gone(cancel: &Cancel) {
    /// Nobody waits longer than this for nothing.
    const LOOK: Duration = Duration::from_millis(50);
    while !cancel.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}
