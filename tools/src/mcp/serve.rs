//! Serves MCP over HTTP to clients with a bearer token, and never to web pages.

use crate::http_server::{self, Connection};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Path of the endpoint.
pub const PATH: &str = "/mcp";

/// Host names of the local machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who may connect to the server.
pub struct ServerAccess {
    /// Bearer token that every request must carry.
    pub token: String,
    /// Accepted `Host` header values, besides the loopback names.
    pub hosts: Vec<String>,
}

/// SHA-256 of the token. Comparing digests leaks nothing about a partially correct guess.
type Token = Arc<[u8; 32]>;

/// Serves `server` at [`PATH`] until `stopped` completes.
///
/// Requests from a web page are refused unless the page's origin is this server on a loopback name. Requests
/// for another host name are refused as well, which defends against DNS rebinding.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    server: impl ServerHandler + Clone,
    listener: TcpListener,
    access: ServerAccess,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    config.allowed_hosts.extend(access.hosts);
    let port = listener.local_addr()?.port();
    config.allowed_origins.extend(LOOPBACK.map(|name| format!("http://{name}:{port}")));
    let closing = config.cancellation_token.clone();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    let router = guarded(Router::new().nest_service(PATH, service), access.token);
    let stopped = async move {
        stopped.await;
        closing.cancel();
    };
    http_server::serve(listener, router, stopped).await
}

/// Wraps `router` so that every request needs the bearer token `token`, and a body that stops arriving fails.
pub fn guarded(router: Router, token: String) -> Router {
    let token: Token = Arc::new(Sha256::digest(token).into());
    router.layer(middleware::from_fn_with_state(token, require_token))
}

async fn require_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    // The scheme name is case-insensitive (RFC 9110, section 11.1).
    let given = given.and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let digest: Option<[u8; 32]> = given.map(|(_, token)| Sha256::digest(token.trim()).into());
    if digest.as_ref() == Some(&*token) {
        if let Some(connection) = request.extensions().get::<Arc<Connection>>() {
            connection.trust();
        }
        return next.run(request.map(http_server::timed)).await;
    }
    let mut refused = (StatusCode::UNAUTHORIZED, "a bearer token is needed\n").into_response();
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}
