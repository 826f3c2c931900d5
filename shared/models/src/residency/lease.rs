//! The right to use a model: as long as one lives, the model stays.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::Shared;
use super::book::Instance;
use crate::ModelRef;

/// A model in use. Give it back by dropping it.
pub struct Lease<T> {
    // Dropped before the grant, so that the store has the last word on where the model itself is dropped.
    value: Arc<T>,
    grant: Grant,
}

/// A lease on a model of any type.
pub(super) struct Grant {
    shared: Arc<Shared>,
    model: ModelRef,
    /// Taken when the grant is given back.
    instance: Option<Arc<Instance>>,
}

// === impl Lease ===

impl<T: Send + Sync + 'static> Lease<T> {
    pub(super) fn new(grant: Grant) -> Option<Self> {
        let value = Arc::clone(&grant.instance.as_ref()?.value).downcast().ok()?;
        Some(Self { value, grant })
    }

    /// Which model.
    pub fn model(&self) -> &ModelRef {
        &self.grant.model
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.grant.model).finish()
    }
}

// === impl Grant ===

impl Grant {
    /// The caller has counted this use in `instance`, with the book open.
    pub(super) fn new(shared: &Arc<Shared>, model: &ModelRef, instance: &Arc<Instance>) -> Self {
        Self {
            shared: Arc::clone(shared),
            model: model.clone(),
            instance: Some(Arc::clone(instance)),
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else {
            return;
        };
        let idle_in_service = {
            let mut book = self.shared.book();
            let idle = instance.give_back();
            let Ok(slot) = book.slot_mut(&self.model) else {
                return;
            };
            let in_service = slot.touch(&instance);
            if idle && !in_service {
                Shared::retire(&self.shared, &mut book, instance);
            } else {
                // Somebody else holds it too: it is not the end of the model, which would take long.
                drop(instance);
            }
            idle && in_service
        };
        if idle_in_service {
            self.shared.idle.notify_one();
        }
    }
}
