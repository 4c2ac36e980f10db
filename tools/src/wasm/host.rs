//! Runs WebAssembly components with wasmtime.

use super::WasmSettings;
use super::http::{Finishing, send};
use super::limits::ComponentLimits;
use crate::allowed_hosts::AllowedHosts;
use crate::subprocess::StderrLog;
use std::path::Path;
use std::time::Duration;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

wasmtime::component::bindgen!({
    path: "wit",
    world: "plugin",
    exports: { default: async },
});

/// Period of the epoch clock. At each tick a busy call yields to other tasks and can be cancelled.
const TICK: Duration = Duration::from_millis(10);
/// Limit on the captured output of one call, in bytes.
const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Limit on the resources that a component holds of the host at once: streams, files, requests.
const MAX_RESOURCES: usize = 10_000;
/// Limit on the bytes that the host copies out of a component for one request of it.
const MAX_COPIED_BYTES: usize = 32 << 20;

/// A compiled component with its granted capabilities.
pub struct Host {
    engine: Engine,
    plugin: PluginPre<CallState>,
    settings: WasmSettings,
    hosts: Option<(AllowedHosts, reqwest::Client)>,
    directory: std::path::PathBuf,
}

/// Host state of one call.
struct CallState {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: ComponentLimits,
    http: WasiHttpCtx,
    http_filter: HttpFilter,
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http_filter, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Wall clock of a call, fixed at the log's time since 1970, so that a repeated call sees the same time. The
/// monotonic clock runs normally.
struct LogTime(Duration);

impl HostWallClock for LogTime {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Allows HTTP requests to granted hosts only.
struct HttpFilter(Option<(AllowedHosts, reqwest::Client)>);

impl WasiHttpHooks for HttpFilter {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _finished: Finishing,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finishing), HttpError>> + Send> {
        Box::new(send(self.0.clone(), request, options))
    }
}

impl Host {
    /// Compiles the component; this keeps one core busy for seconds.
    pub fn new(settings: &WasmSettings, directory: &Path) -> Result<Self, String> {
        let path = directory.join(&settings.component);
        let bytes =
            std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let hosts = if settings.hosts.is_empty() {
            None
        } else {
            Some(AllowedHosts::new(&settings.hosts, &settings.private_ranges)?.with_client()?)
        };
        let mut config = Config::new();
        config.wasm_component_model(true).epoch_interruption(true);
        let plugin = |engine: &Engine| {
            let component = Component::from_binary(engine, &bytes)?;
            let mut linker = Linker::new(engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
            PluginPre::new(linker.instantiate_pre(&component)?)
        };
        let engine = Engine::new(&config).map_err(|error| error.to_string())?;
        let plugin = plugin(&engine).map_err(|error| {
            format!("`{}` does not implement the WIT world `plugin`: {error:#}", path.display())
        })?;
        let ticking = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        });
        Ok(Self { engine, plugin, settings: settings.clone(), hosts, directory: directory.to_owned() })
    }

    /// Calls `describe`. Its wall clock stands at 1970, because the answer must not depend on the time.
    pub async fn describe(&self) -> Result<String, String> {
        let (mut store, stderr_log) = self.store(0)?;
        let described = async {
            let plugin = self.plugin.instantiate_async(&mut store).await?;
            plugin.call_describe(&mut store).await
        };
        described.await.map_err(|error| failure(&error, &stderr_log))
    }

    /// Calls `call`. The outer error is a trap or a failed instantiation; the inner one is returned by the
    /// component.
    pub async fn call(&self, request: &Request) -> Result<Result<String, String>, String> {
        let (mut store, stderr_log) = self.store(request.now_ms)?;
        let called = async {
            let plugin = self.plugin.instantiate_async(&mut store).await?;
            plugin.call_call(&mut store, request).await
        };
        called.await.map_err(|error| failure(&error, &stderr_log))
    }

    /// A store for one call at `now_ms`, with the granted capabilities only.
    fn store(&self, now_ms: i64) -> Result<(Store<CallState>, MemoryOutputPipe), String> {
        let stderr_log = MemoryOutputPipe::new(MAX_OUTPUT_BYTES);
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(LogTime(Duration::from_millis(now_ms.try_into().unwrap_or(0))));
        wasi.stdout(stderr_log.clone()).stderr(stderr_log.clone());
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        for name in &self.settings.env {
            if let Ok(value) = std::env::var(name) {
                wasi.env(name, value);
            }
        }
        for (seen_as, granted) in &self.settings.directories {
            let path = self.directory.join(&granted.path);
            let powers = if granted.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&path, seen_as, powers)
                .map_err(|error| format!("the directory `{}` cannot be opened: {error:#}", path.display()))?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let world = CallState {
            wasi: wasi.build(),
            table,
            limits: ComponentLimits::new(self.settings.memory_mib),
            http: WasiHttpCtx::new(),
            http_filter: HttpFilter(self.hosts.clone()),
        };
        let mut store = Store::new(&self.engine, world);
        store.limiter(|world| &mut world.limits);
        store.set_hostcall_fuel(MAX_COPIED_BYTES);
        // The call yields at every tick; if nobody waits for it, it is dropped there.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok((store, stderr_log))
    }
}

/// Error text for a failed call: the root cause and the last output of the component.
fn failure(error: &wasmtime::Error, output: &MemoryOutputPipe) -> String {
    let stderr_log = StderrLog::default();
    stderr_log.add(&String::from_utf8_lossy(&output.contents()));
    stderr_log.explain(&error.root_cause().to_string())
}
