//! The server over HTTP: by default on this machine only, and only with an access token.

use super::Server;
use crate::error::{Failure, Kind};
use crate::{output, session};
use anyhow::{Context as _, Result};
use sojourn_controller::Cancel;
use sojourn_tools::mcp::serve::{self, ServerAccess};
use std::net::SocketAddr;

/// The address of a server, and who may reach it.
pub struct Endpoint {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The environment variable that holds the access token.
    pub token_env: String,
    /// Names of this machine, besides the loopback ones, that requests may be addressed to.
    pub hosts: Vec<String>,
}

/// Serves until it is interrupted.
///
/// # Errors
/// When the address is in use, or is not a loopback address and no token is set.
pub(super) async fn serve(server: Server, place: Endpoint) -> Result<()> {
    let token = token(&place)?;
    let listener = tokio::net::TcpListener::bind(place.address)
        .await
        .with_context(|| format!("cannot listen on {}", place.address))?;
    output::note(format!("serving at http://{}{}", listener.local_addr()?, serve::PATH));
    let cancel = Cancel::new();
    session::stop_server_on_ctrl_c(cancel.clone());
    let door = ServerAccess { token, hosts: place.hosts };
    Ok(serve::serve(server, listener, door, async move { cancel.cancelled().await }).await?)
}

/// The token in the environment variable, or a new one, which is printed.
pub fn token(place: &Endpoint) -> Result<String> {
    let (token, is_new) = chosen_token(place)?;
    if is_new {
        output::note(format!("access token: {token}"));
    }
    Ok(token)
}

/// The token in the environment variable, or a new one, and whether it is new.
///
/// # Errors
/// When the token is too short, or none is set and other machines reach the address.
pub fn chosen_token(place: &Endpoint) -> Result<(String, bool)> {
    match std::env::var(&place.token_env) {
        Ok(token) if token.len() >= 16 => Ok((token, false)),
        Ok(_) => Err(Failure::new(Kind::Usage, format!("the token in {} is too short", place.token_env))
            .hint("use at least 16 characters: openssl rand -hex 16")
            .into()),
        Err(_) if place.address.ip().is_loopback() => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
            Ok((hex::encode(bytes), true))
        }
        Err(_) => Err(Failure::new(
            Kind::Usage,
            format!(
                "{} can be reached from other machines, and {} is not set",
                place.address, place.token_env
            ),
        )
        .hint(format!("set a token: export {}=$(openssl rand -hex 16)", place.token_env))
        .into()),
    }
}
