//! `sojourn studio` and `sojourn report`: the page, and a run as one file.

mod actions;
mod agents;
mod settings;

use super::mcp::http::{Endpoint, chosen_token};
use crate::args::{Report, Studio as StudioArgs};
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{logbook, output, session};
use actions::OfHome;
use agents::Agents;
use anyhow::{Context as _, Result};
use sojourn_controller::Cancel;
use sojourn_studio::access::Access;
use sojourn_studio::{Studio, report};
use std::io::{BufWriter, Write as _};
use std::sync::Arc;

/// Serves the studio until it is interrupted.
///
/// # Errors
/// When the address is in use, or is not a loopback address and no token is set.
pub async fn studio(home: Home, args: StudioArgs) -> Result<()> {
    let place = Endpoint { address: args.http, token_env: args.token_env, hosts: args.allow_host };
    let (token, is_new) = chosen_token(&place)?;
    let agents = Agents::new(&home, args.agent, std::env::current_dir().ok());
    agents.check()?;
    let listener = tokio::net::TcpListener::bind(place.address)
        .await
        .with_context(|| format!("cannot listen on {}", place.address))?;
    let address = listener.local_addr()?;
    let studio = open(&home, agents).await?;
    if is_new {
        output::note(format!("the studio is at {}", Access::link(&token, address)));
    } else {
        output::note(format!(
            "the studio is at http://{address}/?token=… with the token in {}",
            place.token_env
        ));
    }
    let cancel = Cancel::new();
    session::stop_server_on_ctrl_c(cancel.clone());
    let access = Access::new(&token, address, place.hosts);
    Ok(sojourn_studio::serve(studio, listener, access, async move { cancel.cancelled().await }).await?)
}

/// Writes a run into one file.
///
/// # Errors
/// When there is no such run, or the file cannot be written.
pub async fn report(home: &Home, args: &Report) -> Result<()> {
    let studio = open(home, Agents::new(home, Vec::new(), None)).await?;
    let info = logbook::find_run(&studio.store, &args.run).await?;
    let unwritable = || format!("cannot write `{}`", args.out.display());
    let mut file = super::log::export::beside(&args.out).with_context(unwritable)?;
    let mut out = BufWriter::new(file.as_file_mut());
    let held = report::write(&studio, &info, &mut out).await?;
    out.flush().with_context(unwritable)?;
    drop(out);
    file.persist(&args.out).with_context(unwritable)?;
    if args.json {
        return Ok(output::json(&held)?);
    }
    let whole = if held.records as u64 == held.of { String::new() } else { format!(" of {}", held.of) };
    output::note(format!("{} with {}{whole} records of run {}", args.out.display(), held.records, info.id));
    Ok(())
}

async fn open(home: &Home, agents: Agents) -> Result<Studio> {
    let store = home.store().await?;
    let memories = Vectors::default().open(store.clone()).await?;
    let tenant = Home::tenant()?;
    Ok(Studio {
        store,
        memories: memories.clone(),
        tenant: tenant.clone(),
        library: home.library_path(),
        environments: home.environments().clone(),
        commands: Arc::new(OfHome { home: home.clone(), memories, tenant, agents }),
    })
}
