use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span as Received;
use polyphony_config::HumanDuration;
use polyphony_testing::{Exposition, eventually, listener};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing::field;
use tracing::subscriber::with_default;
use tracing::{Subscriber as _, level_filters::LevelFilter};

use super::traces::{Exporter, Traces};
use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const PATIENCE: Duration = Duration::from_secs(10);

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().expect("whole").push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(self) -> String {
        let (listener, addr) = listener().await;
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{addr}")
    }

    fn spans(&self) -> Vec<Received> {
        let requests = self.0.lock().expect("whole");
        let scopes = requests.iter().flat_map(|request| &request.resource_spans);
        let spans =
            scopes.flat_map(|resource| resource.scope_spans.iter().flat_map(|scope| scope.spans.clone()));
        spans.collect()
    }
}

/// What was logged, as text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let lines = self.clone();
        move || lines.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("UTF-8")
    }
}

fn config(endpoint: Option<String>) -> TelemetryConfig {
    TelemetryConfig {
        otlp_endpoint: endpoint,
        format: Format::Json,
        ..TelemetryConfig::default()
    }
}

fn called_with(traceparent: &str) -> HeaderMap {
    let value = HeaderValue::from_str(traceparent).expect("a header");
    HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), value)])
}

/// Runs `call` with logs and traces set up as a process would, then ends them.
fn told<T>(config: &TelemetryConfig, call: impl FnOnce() -> T) -> (T, Lines) {
    let lines = Lines::default();
    let traces = Traces::build(config, "asr").expect("built");
    let subscriber = subscriber::build(config, &traces, lines.writer(), false).expect("built");
    let result = with_default(subscriber, || {
        let result = call();
        drop(traces);
        result
    });
    (result, lines)
}

#[tokio::test]
async fn a_span_reaches_the_collector_as_a_child_of_its_callers() {
    let collector = Collector::default();
    let config = config(Some(collector.clone().start().await));
    // The flush blocks, as it does at the end of `main`; the collector must still be able to answer.
    let (outgoing, lines) = tokio::task::spawn_blocking(move || {
        told(&config, || {
            let span = tracing::info_span!("rpc", trace_id = field::Empty, rpc.method = "Recognize");
            adopt(&span, &called_with(&format!("00-{TRACE}-{PARENT}-01")));
            let _entered = span.enter();
            tracing::info!("decoding");
            let mut outgoing = HeaderMap::new();
            inject(&mut outgoing);
            outgoing
        })
    })
    .await
    .expect("no panic");

    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(hex(&spans[0].trace_id), TRACE);
    assert_eq!(hex(&spans[0].parent_span_id), PARENT);
    assert_eq!(spans[0].name, "rpc");
    let sent = outgoing["traceparent"].to_str().expect("text");
    assert_eq!(sent, format!("00-{TRACE}-{}-01", hex(&spans[0].span_id)));

    let requests = collector.0.lock().expect("whole");
    let resource = requests[0].resource_spans[0]
        .resource
        .as_ref()
        .expect("a resource");
    let attributes: Vec<_> = resource.attributes.iter().map(|it| it.key.as_str()).collect();
    for key in ["service.name", "service.namespace", "service.version"] {
        assert!(attributes.contains(&key), "{key} is not in {attributes:?}");
    }
    let line = lines.text();
    let line: serde_json::Value = serde_json::from_str(line.trim_end()).expect("one JSON object");
    assert_eq!(line["message"], "decoding");
    assert_eq!(line["span"]["trace_id"], TRACE);
}

#[test]
fn without_a_collector_the_trace_still_goes_on() {
    let ((first, called), _) = told(&config(None), || {
        let outgoing = |headers: &HeaderMap| {
            let span = tracing::info_span!("rpc");
            adopt(&span, headers);
            let _entered = span.enter();
            let mut outgoing = HeaderMap::new();
            inject(&mut outgoing);
            outgoing["traceparent"].to_str().expect("text").to_owned()
        };
        let called = called_with(&format!("00-{TRACE}-{PARENT}-01"));
        (outgoing(&HeaderMap::new()), outgoing(&called))
    });
    assert!(
        called.starts_with(&format!("00-{TRACE}-")) && called.ends_with("-01"),
        "{called}"
    );
    assert!(first.starts_with("00-") && first.ends_with("-00"), "{first}");
}

#[test]
fn what_is_below_the_level_costs_one_comparison() {
    let config = config(None);
    let traces = Traces::build(&config, "test").expect("traces");
    let subscriber = subscriber::build(&config, &traces, io::sink, false).expect("a subscriber");
    assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
}

#[test]
fn a_broken_trace_context_is_ignored() {
    use opentelemetry::trace::TraceContextExt as _;
    for broken in [
        "",
        "00",
        "00-0-0-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "\u{e9}",
    ] {
        let context = extract(&called_with(broken));
        assert!(!context.span().span_context().is_valid(), "{broken:?}");
    }
}

#[test]
fn an_unsampled_trace_is_not_recorded() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let collector = Collector::default();
    let endpoint = runtime.block_on(collector.clone().start());
    told(&config(Some(endpoint)), || {
        let span = tracing::info_span!("rpc");
        adopt(&span, &called_with(&format!("00-{TRACE}-{PARENT}-00")));
        span.in_scope(|| ());
    });
    assert_eq!(collector.spans(), []);
}

#[test]
fn a_collector_that_is_absent_or_mute_delays_neither_start_nor_end() {
    // Nobody listens on a port that was just given back, and nobody ever answers on the other.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let absent = gone.local_addr().expect("bound");
    drop(gone);
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    for addr in [absent, mute.local_addr().expect("bound")] {
        let config = TelemetryConfig {
            // Longer than the flush, which must not wait for it.
            export_timeout: HumanDuration::from_secs(60),
            flush_timeout: HumanDuration::from_millis(300),
            ..config(Some(format!("http://{addr}")))
        };
        let lines = Lines::default();
        let started = Instant::now();
        let traces = Traces::build(&config, "asr").expect("starts without a collector");
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        let subscriber = subscriber::build(&config, &traces, lines.writer(), false).expect("built");
        with_default(subscriber, || {
            tracing::info_span!("rpc").in_scope(|| ());
            let ending = Instant::now();
            drop(traces);
            assert!(
                ending.elapsed() < Duration::from_secs(3),
                "{:?}",
                ending.elapsed()
            );
        });
    }
}

#[test]
fn a_process_sets_telemetry_up_once() {
    let config = TelemetryConfig {
        level: "off".to_owned(),
        ..TelemetryConfig::default()
    };
    let guard = init(&config, "polyphony").expect("the first");
    assert!(guard.metrics().render().contains("polyphony_build_info"));
    let second = init(&config, "polyphony");
    assert!(matches!(second, Err(Error::AlreadyInstalled)), "{second:?}");
}

#[tokio::test]
async fn the_exporter_speaks_when_its_state_changes() {
    use opentelemetry_sdk::error::OTelSdkError;
    let (logs, _guard) = polyphony_testing::capture_logs();
    let endpoint = "http://127.0.0.1:1";
    let runtime = tokio::runtime::Handle::current();
    let exporter = Exporter::to(endpoint, runtime, Duration::from_secs(1)).expect("built");
    let failed = || Err(OTelSdkError::InternalFailure("refused".to_owned()));
    for result in [Ok(()), failed(), failed(), failed(), Ok(()), Ok(()), failed()] {
        exporter.report(&result, 1);
    }
    assert_eq!(
        logs.matching(tracing::Level::WARN, "traces cannot be sent").len(),
        2
    );
    assert_eq!(
        logs.matching(tracing::Level::INFO, "traces are sent again").len(),
        1
    );
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let with = |change: fn(&mut TelemetryConfig)| {
        let mut config = TelemetryConfig::default();
        change(&mut config);
        config.check().map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(
        with(|it| it.otlp_endpoint = Some("http://collector:4317".to_owned())),
        Ok(())
    );
    assert_eq!(
        with(|it| it.level = "info,polyphony_asr=debug".to_owned()),
        Ok(())
    );
    for (key, change) in [
        (
            "telemetry.level",
            (|it| it.level = "info,=".to_owned()) as fn(&mut TelemetryConfig),
        ),
        ("telemetry.sample_ratio", |it| it.sample_ratio = 1.1),
        ("telemetry.sample_ratio", |it| it.sample_ratio = f64::NAN),
        ("telemetry.otlp_endpoint", |it| {
            it.otlp_endpoint = Some("collector:4317".to_owned())
        }),
        ("telemetry.otlp_endpoint", |it| {
            it.otlp_endpoint = Some("https://collector".to_owned())
        }),
        ("telemetry.otlp_endpoint", |it| {
            it.otlp_endpoint = Some(String::new())
        }),
    ] {
        let error = with(change).expect_err(key);
        assert!(error.starts_with(key), "{error}");
    }
}

#[tokio::test]
async fn metrics_are_well_formed_and_hold_the_process() {
    let metrics = Metrics::install("asr").expect("the only recorder");
    let again = Metrics::install("gateway").expect("the same recorder");
    ::metrics::describe_histogram!("telemetry_test_seconds", "What a test took.");
    ::metrics::histogram!("telemetry_test_seconds", "odd" => "a \"quoted\"\nline").record(0.02);
    ::metrics::histogram!("telemetry_test_tokens").record(3.0);
    metrics.upkeep();
    let page = Exposition::parse(&again.render()).expect("well-formed");
    assert_eq!(page.types["telemetry_test_seconds"], "histogram");
    assert_eq!(
        page.value("telemetry_test_seconds_bucket", &[("le", "0.025")]),
        Some(1.0)
    );
    assert_eq!(
        page.value("telemetry_test_seconds_bucket", &[("le", "0.01")]),
        Some(0.0)
    );
    assert_eq!(
        page.value("telemetry_test_tokens_bucket", &[("le", "4")]),
        Some(1.0)
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        page.value("polyphony_build_info", &[("version", version)]),
        Some(1.0)
    );
    assert!(page.value("process_resident_memory_bytes", &[]).expect("read") > 1e6);
    assert!(page.value("process_threads", &[]).expect("read") >= 1.0);
    assert!(page.value("process_open_fds", &[]).expect("read") >= 3.0);
    assert!(page.value("process_max_fds", &[]).expect("read") >= 3.0);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock")
        .as_secs_f64();
    let started = page.value("process_start_time_seconds", &[]).expect("read");
    assert!(started <= now && started > now - 3600.0, "{started}");
    let cpu = || {
        Exposition::parse(&metrics.render())
            .expect("well-formed")
            .value("process_cpu_seconds_total", &[])
    };
    let before = cpu().expect("read");
    let busy = || (0..1_000_000_u64).fold(0_u64, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
    eventually(PATIENCE, "processor time to pass", || {
        std::hint::black_box(busy());
        cpu() > Some(before)
    })
    .await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
