//! Two upstreams that answer a little, each for a service of its own.

use std::net::SocketAddr;
use std::time::Duration;

use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::{Readiness, Server, Shutdown, Trigger};
use polyphony_proto::asr;
use polyphony_proto::asr::v1::adaptation_service_server::{AdaptationService, AdaptationServiceServer};
use polyphony_proto::asr::v1::{
    CreatePhraseSetRequest, DeletePhraseSetRequest, GetPhraseSetRequest, ListPhraseSetsRequest,
    ListPhraseSetsResponse, PhraseSet, UpdatePhraseSetRequest,
};
use polyphony_proto::google::longrunning;
use polyphony_proto::google::longrunning::operations_server::{Operations, OperationsServer};
use polyphony_proto::google::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation, WaitOperationRequest,
};
use polyphony_testing::listener;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

/// Knows one operation and does nothing with it.
pub(crate) struct Work;

#[tonic::async_trait]
impl Operations for Work {
    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let name = request.into_inner().name;
        Ok(Response::new(Operation {
            name,
            done: true,
            ..Operation::default()
        }))
    }

    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        Ok(Response::new(ListOperationsResponse::default()))
    }

    async fn delete_operation(&self, _: Request<DeleteOperationRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn cancel_operation(&self, _: Request<CancelOperationRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn wait_operation(
        &self,
        request: Request<WaitOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Response::new(Operation {
            name: request.into_inner().name,
            ..Operation::default()
        }))
    }
}

/// Has one phrase set.
pub(crate) struct Phrases;

#[tonic::async_trait]
impl AdaptationService for Phrases {
    async fn create_phrase_set(
        &self,
        _: Request<CreatePhraseSetRequest>,
    ) -> Result<Response<PhraseSet>, Status> {
        Ok(Response::new(PhraseSet::default()))
    }

    async fn get_phrase_set(
        &self,
        request: Request<GetPhraseSetRequest>,
    ) -> Result<Response<PhraseSet>, Status> {
        Ok(Response::new(PhraseSet {
            name: request.into_inner().name,
            ..PhraseSet::default()
        }))
    }

    async fn list_phrase_sets(
        &self,
        _: Request<ListPhraseSetsRequest>,
    ) -> Result<Response<ListPhraseSetsResponse>, Status> {
        Ok(Response::new(ListPhraseSetsResponse::default()))
    }

    async fn update_phrase_set(
        &self,
        _: Request<UpdatePhraseSetRequest>,
    ) -> Result<Response<PhraseSet>, Status> {
        Ok(Response::new(PhraseSet::default()))
    }

    async fn delete_phrase_set(&self, _: Request<DeletePhraseSetRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }
}

/// A service of the mesh.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) stop: Trigger,
    pub(crate) served: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn operations() -> Self {
        let (listener, addr) = listener().await;
        Self::serve(listener, addr, |server| {
            server.service(OperationsServer::new(Work), longrunning::FILE_DESCRIPTOR_SET)
        })
    }

    pub(crate) async fn phrases() -> Self {
        let (listener, addr) = listener().await;
        Self::phrases_on(listener, addr)
    }

    pub(crate) fn phrases_on(listener: TcpListener, addr: SocketAddr) -> Self {
        Self::serve(listener, addr, |server| {
            server.service(
                AdaptationServiceServer::new(Phrases),
                asr::v1::FILE_DESCRIPTOR_SET,
            )
        })
    }

    pub(crate) fn serve(listener: TcpListener, addr: SocketAddr, add: impl FnOnce(Server) -> Server) -> Self {
        let readiness = Readiness::new();
        let (stop, shutdown) = Shutdown::manual();
        let server = add(Server::new("upstream", &ServerConfig::default()).readiness(&readiness));
        let served = tokio::spawn(async move {
            server
                .serve(listener, shutdown)
                .await
                .expect("the upstream starts");
        });
        Self {
            addr,
            readiness,
            stop,
            served,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.now();
        self.served.await.expect("the upstream stops");
    }
}
