//! A collector of traces, logs and metrics in this process.

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// How one export came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) headers: MetadataMap,
    /// The attributes of the process.
    pub(crate) resource: HashMap<String, String>,
}

/// What was received, in order.
#[derive(Clone, Default)]
pub(crate) struct Collector(
    Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    Arc<Mutex<Vec<Call>>>,
);

impl Collector {
    /// Starts a collector on a free port; gives it and its endpoint.
    pub(crate) async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(LogsServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, endpoint)
    }

    /// Every export of any kind.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.3.lock().unwrap().clone()
    }

    fn note(&self, headers: &MetadataMap, resource: Option<&Resource>) {
        self.3.lock().unwrap().push(Call {
            headers: headers.clone(),
            resource: attributes(resource),
        });
    }

    /// Every log event.
    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        let requests = self.1.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_logs);
        let scopes = resources.flat_map(|resource| &resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records.clone()).collect()
    }

    /// Every export of metrics.
    pub(crate) fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.2.lock().unwrap().clone()
    }

    /// Every span with its process's resource attributes.
    pub(crate) fn spans(&self) -> Vec<(Span, HashMap<String, String>)> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        resources
            .flat_map(|resource| {
                let attributes = attributes(resource.resource.as_ref());
                let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
                spans.map(move |span| (span.clone(), attributes.clone()))
            })
            .collect()
    }
}

fn attributes(resource: Option<&Resource>) -> HashMap<String, String> {
    let attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    attributes
        .filter_map(|pair| match pair.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some((pair.key.clone(), text.clone())),
            _ => None,
        })
        .collect()
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resource = request.get_ref().resource_spans.first();
        self.note(request.metadata(), resource.and_then(|spans| spans.resource.as_ref()));
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let resource = request.get_ref().resource_logs.first();
        self.note(request.metadata(), resource.and_then(|logs| logs.resource.as_ref()));
        self.1.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resource = request.get_ref().resource_metrics.first();
        self.note(
            request.metadata(),
            resource.and_then(|metrics| metrics.resource.as_ref()),
        );
        self.2.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
