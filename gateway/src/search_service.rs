//! `sightline.v1.Search`.

use crate::duplicates::{self, Surplus, Told};
use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::items::{item, projection};
use crate::query::mask::ReadMask;
use crate::query::names::{collection_name, item_name, of_collection};
use crate::query::violations::Violations;
use crate::{administration, aliases, batch, collections, export, searching, statistics};
use futures::stream::BoxStream;
use sightline_proto::v1;
use sightline_proto::v1::search_server::Search;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

#[derive(Debug)]
pub(crate) struct SearchService {
    shared: Arc<Shared>,
}

impl SearchService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn item(&self, request: v1::GetItemRequest) -> Result<v1::Item, GatewayError> {
        let mut violations = Violations::default();
        let name = violations.take("name", item_name(&request.name));
        let mask = ReadMask::parse(&request.fields, &mut violations);
        violations.check()?;
        let (collection, id) = name.ok_or_else(GatewayError::nothing)?;
        let collection = self.shared.collection(&collection).await?.name;
        let ids = [id];
        let rows = self.shared.index.get(&collection, &ids, projection(&mask)).await?;
        let [id] = ids;
        match rows.into_iter().next() {
            Some(row) => Ok(item(row, &mask)),
            None => Err(GatewayError::NoItem { collection, item: id }),
        }
    }

    async fn delete(&self, request: v1::DeleteCollectionRequest) -> Result<(), GatewayError> {
        let collection = collection_name(&request.name).map_err(|message| GatewayError::invalid("name", message))?;
        let behind = self.shared.collection(&collection).await?.name;
        if behind != collection {
            let message = format!(
                "is an alias of {}: name that, or delete the alias",
                of_collection(&behind)
            );
            return Err(GatewayError::invalid("name", message));
        }
        self.shared.index.drop_collection(&collection).await?;
        self.shared.known_collections.forget(&collection);
        self.shared.efforts.forget(&collection);
        tracing::info!(%collection, "collection dropped");
        Ok(())
    }
}

#[tonic::async_trait]
impl Search for SearchService {
    type FindDuplicatesStream = ReceiverStream<Told>;
    type DropDuplicatesStream = ReceiverStream<Told>;

    async fn search(&self, request: Request<v1::SearchRequest>) -> Result<Response<v1::SearchResponse>, Status> {
        Ok(Response::new(
            searching::counted(&self.shared, request.into_inner()).await?,
        ))
    }

    async fn batch_search(
        &self,
        request: Request<v1::BatchSearchRequest>,
    ) -> Result<Response<v1::BatchSearchResponse>, Status> {
        Ok(Response::new(batch::batch(&self.shared, request.into_inner()).await?))
    }

    type StreamSearchStream = BoxStream<'static, Result<v1::StreamSearchResponse, Status>>;

    async fn stream_search(
        &self,
        request: Request<Streaming<v1::StreamSearchRequest>>,
    ) -> Result<Response<Self::StreamSearchStream>, Status> {
        let answers = batch::stream(Arc::clone(&self.shared), request.into_inner());
        Ok(Response::new(answers))
    }

    async fn create_collection(
        &self,
        request: Request<v1::CreateCollectionRequest>,
    ) -> Result<Response<v1::Collection>, Status> {
        let made = administration::create(&self.shared, request.into_inner()).await?;
        Ok(Response::new(made))
    }

    async fn get_collection_statistics(
        &self,
        request: Request<v1::GetCollectionStatisticsRequest>,
    ) -> Result<Response<v1::CollectionStatistics>, Status> {
        let counted = statistics::statistics(&self.shared, request.into_inner()).await?;
        Ok(Response::new(counted))
    }

    async fn delete_items(
        &self,
        request: Request<v1::DeleteItemsRequest>,
    ) -> Result<Response<v1::DeleteItemsResponse>, Status> {
        let deleted = administration::delete_items(&self.shared, request.into_inner()).await?;
        Ok(Response::new(deleted))
    }

    type ExportItemsStream = BoxStream<'static, Result<v1::ExportItemsResponse, Status>>;

    async fn export_items(
        &self,
        request: Request<v1::ExportItemsRequest>,
    ) -> Result<Response<Self::ExportItemsStream>, Status> {
        let items = export::export(&self.shared, request.into_inner()).await?;
        Ok(Response::new(items))
    }

    async fn get_item(&self, request: Request<v1::GetItemRequest>) -> Result<Response<v1::Item>, Status> {
        Ok(Response::new(self.item(request.into_inner()).await?))
    }

    async fn list_collections(
        &self,
        request: Request<v1::ListCollectionsRequest>,
    ) -> Result<Response<v1::ListCollectionsResponse>, Status> {
        Ok(Response::new(
            collections::list(&self.shared, &request.into_inner()).await?,
        ))
    }

    async fn get_collection(
        &self,
        request: Request<v1::GetCollectionRequest>,
    ) -> Result<Response<v1::Collection>, Status> {
        let name = collection_name(&request.into_inner().name);
        let name = name.map_err(|message| GatewayError::invalid("name", message))?;
        Ok(Response::new(collections::get(&self.shared, &name).await?))
    }

    async fn delete_collection(&self, request: Request<v1::DeleteCollectionRequest>) -> Result<Response<()>, Status> {
        self.delete(request.into_inner()).await?;
        Ok(Response::new(()))
    }

    async fn load_collection(
        &self,
        request: Request<v1::LoadCollectionRequest>,
    ) -> Result<Response<v1::Collection>, Status> {
        let loaded = administration::load(&self.shared, &request.into_inner().name).await?;
        Ok(Response::new(loaded))
    }

    async fn release_collection(
        &self,
        request: Request<v1::ReleaseCollectionRequest>,
    ) -> Result<Response<v1::Collection>, Status> {
        let released = administration::release(&self.shared, &request.into_inner().name).await?;
        Ok(Response::new(released))
    }

    async fn update_alias(&self, request: Request<v1::UpdateAliasRequest>) -> Result<Response<v1::Alias>, Status> {
        let alias = aliases::update(&self.shared, request.into_inner()).await?;
        Ok(Response::new(alias))
    }

    async fn list_aliases(
        &self,
        _: Request<v1::ListAliasesRequest>,
    ) -> Result<Response<v1::ListAliasesResponse>, Status> {
        Ok(Response::new(aliases::list(&self.shared).await?))
    }

    async fn delete_alias(&self, request: Request<v1::DeleteAliasRequest>) -> Result<Response<()>, Status> {
        aliases::delete(&self.shared, &request.into_inner().name).await?;
        Ok(Response::new(()))
    }

    async fn find_duplicates(
        &self,
        request: Request<v1::FindDuplicatesRequest>,
    ) -> Result<Response<Self::FindDuplicatesStream>, Status> {
        let v1::FindDuplicatesRequest { name, dataset } = request.into_inner();
        let told = duplicates::tell(&self.shared, &name, &dataset, Surplus::Stays).await?;
        Ok(Response::new(told))
    }

    async fn drop_duplicates(
        &self,
        request: Request<v1::DropDuplicatesRequest>,
    ) -> Result<Response<Self::DropDuplicatesStream>, Status> {
        let v1::DropDuplicatesRequest { name, dataset } = request.into_inner();
        let told = duplicates::tell(&self.shared, &name, &dataset, Surplus::Goes).await?;
        Ok(Response::new(told))
    }
}
