//! The same server over HTTP: on this machine only unless it is asked for more, and for those who have the token.

use super::Server;
use crate::error::{Failure, Kind};
use crate::{output, session};
use anyhow::{Context as _, Result};
use sojourn_controller::Cancel;
use sojourn_tools::mcp::serve::{self, Door};
use std::net::SocketAddr;

/// Where it is served.
pub struct Place {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The environment variable that holds the token.
    pub token_env: String,
    /// Names of this machine, besides the loopback ones, that requests may be addressed to.
    pub hosts: Vec<String>,
}

/// Serves until it is interrupted.
///
/// # Errors
/// When the address cannot be had, or is not this machine's own and no token was chosen.
pub(super) async fn serve(server: Server, place: Place) -> Result<()> {
    let token = token(&place)?;
    let listener = tokio::net::TcpListener::bind(place.address)
        .await
        .with_context(|| format!("cannot listen on {}", place.address))?;
    output::note(format!("serving at http://{}{}", listener.local_addr()?, serve::PATH));
    let cancel = Cancel::new();
    session::stop_on_ctrl_c(cancel.clone());
    let door = Door { token, hosts: place.hosts };
    Ok(serve::serve(server, listener, door, async move { cancel.cancelled().await }).await?)
}

/// The token that was chosen, or one that is made for this time and told.
pub fn token(place: &Place) -> Result<String> {
    match std::env::var(&place.token_env) {
        Ok(token) if token.len() >= 16 => Ok(token),
        Ok(_) => Err(Failure::new(Kind::Usage, format!("the token in {} is too short", place.token_env))
            .hint("16 characters at least: openssl rand -hex 16")
            .into()),
        Err(_) if place.address.ip().is_loopback() => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
            let token = hex::encode(bytes);
            output::note(format!("the token for this time: {token}"));
            Ok(token)
        }
        Err(_) => Err(Failure::new(
            Kind::Usage,
            format!("{} can be reached by others, and {} holds no token", place.address, place.token_env),
        )
        .hint(format!("choose one: export {}=$(openssl rand -hex 16)", place.token_env))
        .into()),
    }
}
