//! Where components run.

use super::WasmSettings;
use crate::child::Complaints;
use crate::web::Hosts;
use reqwest::Url;
use std::path::Path;
use std::time::Duration;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder};
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

/// How often a call that only computes lets others go on, and may be ended.
const TICK: Duration = Duration::from_millis(10);
/// Bytes of what a call writes to its standard error.
const SAID: usize = 1 << 20;
/// Instances, tables and memories of one call; components are made of several.
const PARTS: usize = 64;

/// A component that is ready to be called.
pub struct Host {
    engine: Engine,
    plugin: PluginPre<World>,
    settings: WasmSettings,
    hosts: Option<Hosts>,
    directory: std::path::PathBuf,
}

/// What one call sees.
struct World {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
    http: WasiHttpCtx,
    gate: Gate,
}

impl WasiView for World {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for World {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.gate, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The wall clock of a call: it stands at the log's time of it, since 1970, so that a call that is made again sees no other.
/// How long something takes is measured by the other clock, which goes.
struct LogTime(Duration);

impl HostWallClock for LogTime {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Lets requests to granted hosts through.
struct Gate(Option<Hosts>);

type Finishing = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

impl WasiHttpHooks for Gate {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _finished: Finishing,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finishing), HttpError>> + Send> {
        let listed = Url::parse(&request.uri().to_string())
            .is_ok_and(|url| self.0.as_ref().is_some_and(|hosts| hosts.check(&url).is_ok()));
        Box::new(async move {
            if !listed {
                return Err(HttpError::HttpRequestDenied);
            }
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            Ok((response.map(http_body_util::BodyExt::boxed_unsync), Box::new(io) as Finishing))
        })
    }
}

impl Host {
    /// Compiles a component; this takes a core for a while.
    pub fn new(settings: &WasmSettings, directory: &Path) -> Result<Self, String> {
        let path = directory.join(&settings.component);
        let bytes =
            std::fs::read(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        let hosts = if settings.hosts.is_empty() { None } else { Some(Hosts::new(&settings.hosts)?) };
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
            format!("`{}` is no component of the world `plugin`: {error:#}", path.display())
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

    /// What it offers; that depends on no time, so its clock stands at 1970.
    pub async fn describe(&self) -> Result<String, String> {
        let (mut store, complaints) = self.store(0)?;
        let described = async {
            let plugin = self.plugin.instantiate_async(&mut store).await?;
            plugin.call_describe(&mut store).await
        };
        described.await.map_err(|error| broken(&error, &complaints))
    }

    /// Carries out a call.
    pub async fn call(&self, request: &Request) -> Result<Result<String, String>, String> {
        let (mut store, complaints) = self.store(request.now_ms)?;
        let called = async {
            let plugin = self.plugin.instantiate_async(&mut store).await?;
            plugin.call_call(&mut store, request).await
        };
        called.await.map_err(|error| broken(&error, &complaints))
    }

    /// A world for one call at `now_ms`: what was granted, and nothing else.
    fn store(&self, now_ms: i64) -> Result<(Store<World>, MemoryOutputPipe), String> {
        let complaints = MemoryOutputPipe::new(SAID);
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(LogTime(Duration::from_millis(now_ms.try_into().unwrap_or(0))));
        wasi.stdout(complaints.clone()).stderr(complaints.clone());
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
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.settings.memory_mib << 20)
            .instances(PARTS)
            .tables(PARTS)
            .memories(PARTS)
            .trap_on_grow_failure(true)
            .build();
        let world = World {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            limits,
            http: WasiHttpCtx::new(),
            gate: Gate(self.hosts.clone()),
        };
        let mut store = Store::new(&self.engine, world);
        store.limiter(|world| &mut world.limits);
        // It yields at every tick: a call that nobody waits for any more ends there.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok((store, complaints))
    }
}

/// Why a call came to nothing: the root of it, and what the component wrote last.
fn broken(error: &wasmtime::Error, said: &MemoryOutputPipe) -> String {
    let complaints = Complaints::default();
    complaints.add(&String::from_utf8_lossy(&said.contents()));
    complaints.after(&error.root_cause().to_string())
}
