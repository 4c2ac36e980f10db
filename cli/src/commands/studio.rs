//! `sojourn studio` and `sojourn report`: the page, and a run as one file.

use super::log::export::beside;
use super::mcp::http::{Endpoint, chosen_token};
use super::{fork, memory, skills};
use crate::args::{Fork, Report, Studio as StudioArgs, Target};
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{error, logbook, output, session};
use anyhow::{Context as _, Result};
use async_trait::async_trait;
use sojourn_controller::Cancel;
use sojourn_memory::{EventSeq, Forgotten, Memories, MemoryId, MemoryKind, Query, RunId, Tenant};
use sojourn_studio::access::Access;
use sojourn_studio::{Commands, Found, MemoryQuery, Refused, Studio, report};
use std::io::BufWriter;
use std::sync::Arc;

/// Serves the studio until it is interrupted.
///
/// # Errors
/// When the address is in use, or is not a loopback address and no token is set.
pub async fn studio(home: Home, args: StudioArgs) -> Result<()> {
    let place = Endpoint { address: args.http, token_env: args.token_env, hosts: args.allow_host };
    let (token, is_new) = chosen_token(&place)?;
    let listener = tokio::net::TcpListener::bind(place.address)
        .await
        .with_context(|| format!("cannot listen on {}", place.address))?;
    let address = listener.local_addr()?;
    let studio = open(&home).await?;
    if is_new {
        output::note(format!("the studio is at {}", Access::link(&token, address)));
    } else {
        output::note(format!(
            "the studio is at http://{address}/?token=… with the token in {}",
            place.token_env
        ));
    }
    let cancel = Cancel::new();
    session::stop_on_ctrl_c(cancel.clone());
    let access = Access::new(&token, address, place.hosts);
    Ok(sojourn_studio::serve(studio, listener, access, async move { cancel.cancelled().await }).await?)
}

/// Writes a run into one file.
///
/// # Errors
/// When there is no such run, or the file cannot be written.
pub async fn report(home: &Home, args: &Report) -> Result<()> {
    let studio = open(home).await?;
    let info = logbook::find_run(&studio.store, &args.run).await?;
    let unwritable = || format!("cannot write `{}`", args.out.display());
    let mut file = beside(&args.out).with_context(unwritable)?;
    let held = report::write(&studio, &info, BufWriter::new(file.as_file_mut())).await?;
    file.persist(&args.out).with_context(unwritable)?;
    if args.json {
        return Ok(output::json(&held)?);
    }
    let whole = if held.records as u64 == held.of { String::new() } else { format!(" of {}", held.of) };
    output::note(format!("{} with {}{whole} records of run {}", args.out.display(), held.records, info.id));
    Ok(())
}

async fn open(home: &Home) -> Result<Studio> {
    let store = home.store().await?;
    let memories = Vectors::default().open(store.clone()).await?;
    let tenant = Home::tenant()?;
    Ok(Studio {
        store,
        memories: memories.clone(),
        tenant: tenant.clone(),
        library: home.library_path(),
        environments: home.environments().clone(),
        commands: Arc::new(OfHome { home: home.clone(), memories, tenant }),
    })
}

/// The commands of a home.
struct OfHome {
    home: Home,
    memories: Memories,
    tenant: Tenant,
}

/// An error as the studio tells it.
#[allow(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn refused(error: anyhow::Error) -> Refused {
    Refused { message: error::chain(&error), hint: error::hint(&error) }
}

#[async_trait]
impl Commands for OfHome {
    async fn find_memories(&self, query: &MemoryQuery) -> Result<Found, Refused> {
        let is_known = |kind: &&str| MemoryKind::ALL.iter().any(|one| one.as_str() == *kind);
        if let Some(kind) = query.kind.as_deref().filter(|kind| !is_known(kind)) {
            return Err(Refused { message: format!("no kind of memory is called `{kind}`"), hint: None });
        }
        let kinds: Vec<MemoryKind> =
            MemoryKind::ALL.into_iter().filter(|kind| Some(kind.as_str()) == query.kind.as_deref()).collect();
        let wanted = Query {
            k: query.limit,
            kinds: &kinds,
            run: query.run.as_ref(),
            token_budget: usize::MAX,
            ..Query::new(&self.tenant, &query.text)
        };
        let (memories, by_meaning) = memory::recall(&self.memories, wanted).await.map_err(refused)?;
        let searched_by = if by_meaning { "words and meaning" } else { "words" };
        Ok(Found { searched_by, memories })
    }

    async fn forget(&self, id: &MemoryId) -> Result<Option<Forgotten>, Refused> {
        self.memories.forget(&self.tenant, id).await.map_err(|error| refused(error.into()))
    }

    async fn pin(&self, id: &MemoryId, pinned: bool) -> Result<(), Refused> {
        self.memories.pin(&self.tenant, id, pinned).await.map_err(|error| refused(error.into()))?;
        Ok(())
    }

    async fn fork(&self, run: &RunId, at: EventSeq, settings: Vec<String>) -> Result<RunId, Refused> {
        let args = Fork {
            run: run.to_string(),
            at: at.0,
            agent: None,
            overrides: settings,
            model: None,
            prompt_file: None,
            steps: None,
            time: None,
            title: None,
            no_run: true,
            json: false,
        };
        Ok(fork::make(self.home.clone(), &args).await.map_err(refused)?.run)
    }

    async fn stop(&self, run: &RunId) -> Result<(), Refused> {
        session::ask_to_stop(self.memories.store(), run).map_err(refused)
    }

    async fn retire(&self, name: &str, version: u32, reason: &str) -> Result<(), Refused> {
        let target = Target { name: name.to_owned(), version: Some(version) };
        skills::change::retired(&self.home, &target, reason.to_owned()).await.map_err(refused)?;
        Ok(())
    }

    async fn roll_back(&self, name: &str, to: u32) -> Result<(), Refused> {
        skills::change::rolled_back(&self.home, name, Some(to)).await.map_err(refused)?;
        Ok(())
    }
}
