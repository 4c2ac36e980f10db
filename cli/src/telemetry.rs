//! Spans and events: to stderr, and by OTLP to a collector.

use crate::error::{Failure, Kind};
use anyhow::Result;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// The path of traces at a collector, by OTLP's specification.
const TRACES: &str = "/v1/traces";

/// The exporter of spans. Dropping it sends the remaining spans.
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Prints events on stderr: errors always, more with a higher `verbose`, others by `RUST_LOG`. Sends spans to the
    /// collector at `otlp`. Call it before the async runtime starts: the exporter has a thread of its own.
    ///
    /// # Errors
    /// When `otlp` is not an HTTP address.
    pub fn start(verbose: u8, otlp: Option<&str>) -> Result<Self> {
        let default = match verbose {
            // The environment that used a browser reports its death, and what decodes a sound returns its errors. A browser that
            // lacks protection is told of.
            0 => "error,sojourn_browser=warn,chromiumoxide=off,symphonia=off",
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
        // Below `info`, rmcp logs authorization codes.
        let filter = filter.add_directive("rmcp::transport::auth=info".parse()?);
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let stderr = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_filter(filter);
        let provider = otlp.map(provider).transpose()?;
        let spans = provider.as_ref().map(|provider| {
            let tracer = provider.tracer("sojourn");
            // The exporter's HTTP client creates spans too: only those of this program are sent.
            let own = tracing_subscriber::filter::filter_fn(|meta| meta.target().starts_with("sojourn"));
            tracing_opentelemetry::layer().with_tracer(tracer).with_filter(own).with_filter(LevelFilter::INFO)
        });
        tracing_subscriber::registry().with(stderr).with(spans).init();
        Ok(Self(provider))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            crate::output::note(format!("cannot send the last spans to the collector: {error}"));
        }
    }
}

fn provider(address: &str) -> Result<SdkTracerProvider> {
    let bad = |reason: &dyn std::fmt::Display| {
        Failure::new(Kind::Usage, format!("--otlp {address}: {reason}"))
            .hint("give the address of a collector of OTLP over HTTP: http://localhost:4318")
    };
    let base = address.trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Err(bad(&"not an HTTP address").into());
    }
    let endpoint = if base.ends_with(TRACES) { base.to_owned() } else { format!("{base}{TRACES}") };
    let exporter =
        SpanExporter::builder().with_http().with_endpoint(endpoint).build().map_err(|error| bad(&error))?;
    let resource = Resource::builder()
        .with_service_name("sojourn")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
