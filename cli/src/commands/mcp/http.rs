//! The same server over HTTP: on this machine only unless it is asked for more, and for those who have the token.

use super::Server;
use crate::error::{Failure, Kind};
use crate::{output, session};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use sha2::{Digest as _, Sha256};
use sojourn_controller::Cancel;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where it is served.
pub struct Place {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The environment variable that holds the token.
    pub token_env: String,
    /// Names of this machine, besides the loopback ones, that requests may be addressed to.
    pub hosts: Vec<String>,
}

/// A token's digest: comparing digests tells nothing about how much of a guess is right.
pub type Token = Arc<[u8; 32]>;

/// Serves until it is interrupted.
///
/// # Errors
/// When the address cannot be had, or is not this machine's own and no token was chosen.
pub(super) async fn serve(server: Server, place: Place) -> Result<()> {
    let token = token(&place)?;
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    // A page that had its name point here would be addressed by that name.
    config.allowed_hosts.extend(place.hosts);
    let closing = config.cancellation_token.clone();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let router =
        Router::new().nest_service("/mcp", service).layer(middleware::from_fn_with_state(token, admit));
    let listener = tokio::net::TcpListener::bind(place.address)
        .await
        .with_context(|| format!("cannot listen on {}", place.address))?;
    output::note(format!("serving at http://{}/mcp", listener.local_addr()?));
    let cancel = Cancel::new();
    session::stop_on_ctrl_c(cancel.clone());
    let stopped = async move {
        cancel.cancelled().await;
        closing.cancel();
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
}

/// The token that was chosen, or one that is made for this time and told.
pub fn token(place: &Place) -> Result<Token> {
    let token = match std::env::var(&place.token_env) {
        Ok(token) if token.len() >= 16 => token,
        Ok(_) => {
            return Err(Failure::new(Kind::Usage, format!("the token in {} is too short", place.token_env))
                .hint("16 characters at least: openssl rand -hex 16")
                .into());
        }
        Err(_) if place.address.ip().is_loopback() => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
            let token = hex::encode(bytes);
            output::note(format!("the token for this time: {token}"));
            token
        }
        Err(_) => {
            return Err(Failure::new(
                Kind::Usage,
                format!("{} can be reached by others, and {} holds no token", place.address, place.token_env),
            )
            .hint(format!("choose one: export {}=$(openssl rand -hex 16)", place.token_env))
            .into());
        }
    };
    Ok(Arc::new(Sha256::digest(token).into()))
}

/// Lets those through who have the token.
pub async fn admit(State(token): State<Token>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    // The scheme's name is said in any case (RFC 9110, 11.1).
    let given = given.and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let digest: Option<[u8; 32]> = given.map(|(_, token)| Sha256::digest(token.trim()).into());
    if digest.as_ref() == Some(&*token) {
        return next.run(request).await;
    }
    let mut refused = (StatusCode::UNAUTHORIZED, "a bearer token is needed\n").into_response();
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}
