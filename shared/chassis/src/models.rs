//! `polyphony.models.v1.ModelService` over the model store of this process: what is known, on disk, in memory.
//!
//! An adapter and nothing more: the store says what is on disk, the residency what is in memory, and a pull in progress
//! is remembered here, because only this process knows of it.

mod convert;
mod pulls;
mod watch;

use std::collections::BTreeMap;

use polyphony_error::Fault;
use polyphony_models::{
    Error, Listing, ModelRef, ModelsConfig, Puller, Residents, Status as Resident, Store,
};
use polyphony_proto::models::v1 as pb;
use polyphony_proto::models::v1::model_service_server::ModelService;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::Runtime;
use pulls::Pulls;

/// The models of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Models {
    store: Store,
    puller: Puller,
    residents: Residents,
    pulls: Pulls,
}

/// A page has at most so many models.
const LONGEST_PAGE: usize = 1_000;
/// And so many where the caller does not say.
const PAGE: usize = 100;

// === impl Models ===

impl Models {
    /// Over a store, what brings models into it, and what keeps them in memory.
    pub fn new(store: Store, puller: Puller, residents: Residents) -> Self {
        Self {
            store,
            puller,
            residents,
            pulls: Pulls::default(),
        }
    }

    /// What a program with models begins with: the store of its configuration, and this service over it and the models
    /// in memory.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn open(config: &ModelsConfig, runtime: &Runtime) -> Result<(Store, Residents, Self), crate::Error> {
        let store = Store::open(config, |name| std::env::var_os(name))?;
        let residents = runtime.residents.get(|| config.residency());
        let puller = Puller::new(store.clone(), config)?;
        let models = Self::new(store.clone(), puller, residents.clone());
        Ok((store, residents, models))
    }

    /// Every known model, by name.
    async fn all(&self) -> Result<BTreeMap<String, pb::Model>, Status> {
        let store = self.store.clone();
        let residents = self.residents.clone();
        let read = tokio::task::spawn_blocking(move || Ok((store.list()?, residents.list())));
        let (on_disk, in_memory): (Vec<Listing>, Vec<Resident>) = read
            .await
            .map_err(Fault::internal)?
            .map_err(|error: Error| Fault::from(error))?;
        let mut models = BTreeMap::new();
        for listing in on_disk {
            models.insert(listing.model.to_string(), convert::on_disk(listing));
        }
        for resident in in_memory {
            let name = resident.spec.model.to_string();
            convert::in_memory(models.entry(name).or_default(), resident);
        }
        for (name, progress) in self.pulls.now() {
            if let Some(model) = models.get_mut(&name) {
                convert::pulling(model, &progress);
            }
        }
        Ok(models)
    }

    /// The form of a model that its name means now.
    async fn one(&self, model: &ModelRef) -> Result<pb::Model, Status> {
        let mut all = self.all().await?;
        let name = match &model.variant {
            Some(_) => Some(model.to_string()),
            None => convert::best_of(&all, model.id.as_str()),
        };
        let found = name.and_then(|name| all.remove(&name));
        found.ok_or_else(|| Fault::from(Error::Unknown(model.clone())).into())
    }
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let pb::ListModelsRequest {
            task,
            installed_only,
            page_size,
            page_token,
        } = request.into_inner();
        let size = match page_size as usize {
            0 => PAGE,
            size if size <= LONGEST_PAGE => size,
            _ => {
                return Err(Fault::invalid(
                    "page_size",
                    "is over 1000; ask for less and go on with page_token",
                )
                .into());
            }
        };
        let wanted = |model: &pb::Model| {
            (task.is_empty() || model.task == task) && (!installed_only || convert::is_installed(model))
        };
        // The token is the last name of the page before, so a page is right also when models come and go.
        let all = self.all().await?;
        let mut models = all
            .into_iter()
            .filter(|(name, model)| *name > page_token && wanted(model));
        let page: Vec<_> = models.by_ref().take(size).collect();
        let next_page_token = match (models.next(), page.last()) {
            (Some(_), Some((last, _))) => last.clone(),
            _ => String::new(),
        };
        let models = page.into_iter().map(|(_, model)| model).collect();
        Ok(Response::new(pb::ListModelsResponse {
            models,
            next_page_token,
        }))
    }

    async fn get_model(
        &self,
        request: Request<pb::GetModelRequest>,
    ) -> Result<Response<pb::GetModelResponse>, Status> {
        let model = convert::name(&request.into_inner().model)?;
        let model = Some(self.one(&model).await?);
        Ok(Response::new(pb::GetModelResponse { model }))
    }

    type PullModelStream = ReceiverStream<Result<pb::PullModelResponse, Status>>;

    async fn pull_model(
        &self,
        request: Request<pb::PullModelRequest>,
    ) -> Result<Response<Self::PullModelStream>, Status> {
        let (model, options) = convert::pull(request.into_inner())?;
        Ok(Response::new(self.start_pull(model, options)))
    }

    async fn load_model(
        &self,
        request: Request<pb::LoadModelRequest>,
    ) -> Result<Response<pb::LoadModelResponse>, Status> {
        let pb::LoadModelRequest { model, pin } = request.into_inner();
        let model = self.resident(&convert::name(&model)?)?;
        self.residents.load(&model).await.map_err(Fault::from)?;
        if let Some(pinned) = pin {
            self.residents.pin(&model, pinned).map_err(Fault::from)?;
        }
        let model = Some(self.one(&model).await?);
        Ok(Response::new(pb::LoadModelResponse { model }))
    }

    async fn unload_model(
        &self,
        request: Request<pb::UnloadModelRequest>,
    ) -> Result<Response<pb::UnloadModelResponse>, Status> {
        let model = self.resident(&convert::name(&request.into_inner().model)?)?;
        self.residents.unload(&model).await.map_err(Fault::from)?;
        let model = Some(self.one(&model).await?);
        Ok(Response::new(pb::UnloadModelResponse { model }))
    }

    type WatchModelsStream = ReceiverStream<Result<pb::WatchModelsResponse, Status>>;

    async fn watch_models(
        &self,
        request: Request<pb::WatchModelsRequest>,
    ) -> Result<Response<Self::WatchModelsStream>, Status> {
        Ok(Response::new(self.start_watch(request.into_inner().task)))
    }
}

impl Models {
    /// The model that some service of this process can load: the very one, or of a name without a variant the first that
    /// is on disk, else the first.
    fn resident(&self, model: &ModelRef) -> Result<ModelRef, Status> {
        let mut resident: Vec<Resident> = self.residents.list();
        resident.retain(|status| {
            let spec = &status.spec.model;
            spec.id == model.id && (model.variant.is_none() || spec.variant == model.variant)
        });
        let here = resident
            .iter()
            .find(|status| status.state != polyphony_models::State::Absent);
        let found = here
            .or_else(|| resident.first())
            .map(|status| status.spec.model.clone());
        found.ok_or_else(|| {
            let fault = match self.store.catalogue().get(&model.id) {
                Some(_) => Error::NotResident(model.clone()),
                None => Error::Unknown(model.clone()),
            };
            Fault::from(fault).into()
        })
    }
}
