//! Serving over HTTP: for those who have the token, and not for pages that a browser shows.

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

/// The path that is served.
pub const PATH: &str = "/mcp";

/// What this machine calls itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who is let in.
pub struct Door {
    /// The bearer token that every request must show.
    pub token: String,
    /// Names of this machine, besides the loopback ones, that requests may be addressed to.
    pub hosts: Vec<String>,
}

/// A token's digest: comparing digests tells nothing about how much of a guess is right.
type Token = Arc<[u8; 32]>;

/// Serves `server` at [`PATH`] until `stopped` is ready. Requests that come from a page in a browser are refused, unless the page
/// is this server's own on this machine; and so are those that are addressed to another name than this machine's: a page could
/// have had its own name point here.
///
/// # Errors
/// When nothing can be accepted any more.
pub async fn serve(
    server: impl ServerHandler + Clone,
    listener: TcpListener,
    door: Door,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    config.allowed_hosts.extend(door.hosts);
    let port = listener.local_addr()?.port();
    config.allowed_origins.extend(LOOPBACK.map(|name| format!("http://{name}:{port}")));
    let closing = config.cancellation_token.clone();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    let router = guarded(Router::new().nest_service(PATH, service), door.token);
    let stopped = async move {
        stopped.await;
        closing.cancel();
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

/// `router` for those who show `token` as a bearer token.
pub fn guarded(router: Router, token: String) -> Router {
    let token: Token = Arc::new(Sha256::digest(token).into());
    router.layer(middleware::from_fn_with_state(token, admit))
}

async fn admit(State(token): State<Token>, request: Request, next: Next) -> Response {
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
