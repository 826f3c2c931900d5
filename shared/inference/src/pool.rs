//! The sessions of one model file, shared by callers on many threads.
//!
//! ONNX Runtime's sessions are not safe to run from two threads at once (the binding asks for `&mut`), so a caller
//! takes one out and puts it back by dropping the lease. Callers wait their turn; they do not open more sessions,
//! because each holds a copy of the weights.

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType};

use crate::{Error, Graph, Loaded, SessionSettings, open_graph};

/// Sessions of one model file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SessionPool {
    inner: Arc<Inner>,
}

/// A session taken out; it goes back when dropped.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Inner>,
    /// Empty only while being dropped.
    session: Option<Session>,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements; none if it is not a tensor.
    pub element: Option<TensorElementType>,
    /// Its shape, -1 where the graph leaves it open.
    pub shape: Vec<i64>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    settings: SessionSettings,
    idle: Mutex<Vec<Session>>,
    returned: Condvar,
}

/// How often a waiting caller looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

// === impl SessionPool ===

impl SessionPool {
    /// Opens `size` sessions of a model file.
    ///
    /// # Errors
    /// As [`open`](crate::open).
    pub fn open(
        runtime: &Loaded,
        path: &Path,
        settings: SessionSettings,
        size: NonZeroUsize,
    ) -> Result<Self, Error> {
        let graph = Graph {
            path,
            bytes: None,
            tensor_rt: None,
        };
        Self::open_graph(runtime, graph, settings, size)
    }

    /// Opens `size` sessions of a graph that is not just a file.
    ///
    /// # Errors
    /// As [`open_graph`].
    pub fn open_graph(
        runtime: &Loaded,
        graph: Graph<'_>,
        settings: SessionSettings,
        size: NonZeroUsize,
    ) -> Result<Self, Error> {
        let first = open_graph(runtime, graph, settings)?;
        let ports = |outlets: &[Outlet]| outlets.iter().map(Port::of).collect();
        let (inputs, outputs) = (ports(first.inputs()), ports(first.outputs()));
        let mut idle = vec![first];
        for _ in 1..size.get() {
            idle.push(open_graph(runtime, graph, settings)?);
        }
        let inner = Inner {
            path: graph.path.to_owned(),
            inputs,
            outputs,
            settings,
            idle: Mutex::new(idle),
            returned: Condvar::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The model file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What the graph takes.
    pub fn inputs(&self) -> &[Port] {
        &self.inner.inputs
    }

    /// What the graph gives.
    pub fn outputs(&self) -> &[Port] {
        &self.inner.outputs
    }

    /// How its sessions run.
    pub fn settings(&self) -> SessionSettings {
        self.inner.settings
    }

    /// Takes a session out, waiting for one if all are out.
    pub fn lease(&self) -> Lease {
        let mut idle = self.inner.idle();
        loop {
            if let Some(session) = idle.pop() {
                return self.lease_of(session);
            }
            idle = self
                .inner
                .returned
                .wait(idle)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a session out, unless the caller stops wanting it while it waits.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn lease_unless(&self, cancelled: impl Fn() -> bool) -> Result<Lease, Error> {
        let mut idle = self.inner.idle();
        loop {
            if cancelled() {
                // It may have been us who were told of a session; somebody else still waits for one.
                self.inner.returned.notify_one();
                return Err(Error::Cancelled);
            }
            if let Some(session) = idle.pop() {
                return Ok(self.lease_of(session));
            }
            let waited = self.inner.returned.wait_timeout(idle, LOOK);
            idle = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lease_of(&self, session: Session) -> Lease {
        Lease {
            pool: Arc::clone(&self.inner),
            session: Some(session),
        }
    }
}

// === impl Lease ===

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
            .as_ref()
            .expect("a lease holds its session until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
            .as_mut()
            .expect("a lease holds its session until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.idle().push(session);
            self.pool.returned.notify_one();
        }
    }
}

// === impl Port ===

impl Port {
    fn of(outlet: &Outlet) -> Self {
        Self {
            name: outlet.name().to_owned(),
            element: outlet.dtype().tensor_type(),
            shape: outlet
                .dtype()
                .tensor_shape()
                .map(|shape| shape.to_vec())
                .unwrap_or_default(),
        }
    }
}

// === impl Inner ===

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
