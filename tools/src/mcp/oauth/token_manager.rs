//! Obtains, provides and refreshes the bearer tokens of one server.

use super::credential_store::{CredentialStore, Registration};
use super::http_client::SignInClient;
use super::loopback::Loopback;
use super::{Grant, OAuthSettings, SignInError, legacy, unattended, variable};
use crate::allowed_hosts::AllowedHosts;
use crate::builtin::Person;
use crate::mcp::http::hosts;
use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, CredentialStore as _, OAuthClientConfig,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// The value of `issuer` that lets the server name any authorization server.
const ANY_ISSUER: &str = "*";

/// Client name in a registration.
const NAME: &str = "Sojourn";
/// Scope that requests a refresh token.
const OFFLINE: &str = "offline_access";

/// Provides bearer tokens for one server. Concurrent requests for a token wait for the same sign-in: the lock
/// on `state` is held during it.
pub struct TokenManager {
    /// Name of the source in the agent file.
    name: String,
    url: String,
    /// Ranges of addresses that are not public and that may be contacted.
    private_ranges: Vec<String>,
    settings: OAuthSettings,
    person: Option<Arc<dyn Person>>,
    credentials: CredentialStore,
    state: Mutex<State>,
    /// Set when a token was just obtained and no request has succeeded with it yet.
    fresh: AtomicBool,
}

#[derive(Default)]
struct State {
    manager: Option<AuthorizationManager>,
    /// Whether `manager` knows the authorization server and the client, and so can refresh tokens.
    ready: bool,
    /// All scopes requested so far.
    requested_scopes: Vec<String>,
    /// Why an interactive sign-in failed. It is not repeated, because the connection is retried every minute.
    failed: Option<String>,
}

impl TokenManager {
    /// A manager for the server at `url`. Tokens of an interactive sign-in are stored in a file in
    /// `directory`; tokens that the agent obtains by itself are kept in memory.
    pub fn new(
        name: &str,
        url: &str,
        settings: OAuthSettings,
        private_ranges: Vec<String>,
        person: Option<Arc<dyn Person>>,
        directory: Option<PathBuf>,
    ) -> Self {
        let client = settings.client_id_env.as_deref().and_then(|name| std::env::var(name).ok());
        let file = directory.filter(|_| settings.grant == Grant::AuthorizationCode).map(|directory| {
            let server = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, url.as_bytes());
            let who = uuid::Uuid::new_v5(&server, client.unwrap_or_default().as_bytes());
            directory.join(format!("{who}.json"))
        });
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            private_ranges,
            settings,
            person,
            credentials: CredentialStore::new(file),
            state: Mutex::default(),
            fresh: AtomicBool::new(false),
        }
    }

    /// The present token, refreshed if it is about to expire; `None` before the first sign-in.
    pub async fn token(&self) -> Result<Option<String>, SignInError> {
        self.current(&mut *self.state.lock().await).await
    }

    /// Records that a request with the present token succeeded.
    pub fn on_success(&self) {
        self.fresh.store(false, Ordering::Relaxed);
    }

    /// A new token after status 401. `sent` is the token of the rejected request.
    pub async fn on_unauthorized(&self, challenge: &str, sent: Option<&str>) -> Result<String, SignInError> {
        let mut state = self.state.lock().await;
        let current = self.current(&mut state).await?;
        if let Some(token) = current.filter(|token| Some(token.as_str()) != sent) {
            return Ok(token);
        }
        if sent.is_some() {
            if self.fresh.load(Ordering::Relaxed) {
                return Err(SignInError::TokenRejected);
            }
            // Discovery runs again, because the server may name another authorization server now.
            if self.resume(&mut state, Some(challenge)).await? && renew(&state).await? {
                let renewed = self.current(&mut state).await?;
                if let Some(token) = renewed.filter(|token| Some(token.as_str()) != sent) {
                    self.fresh.store(true, Ordering::Relaxed);
                    return Ok(token);
                }
            }
        }
        self.sign_in(&mut state, challenge, &[]).await
    }

    /// A token with more scopes, after status 403.
    pub async fn on_forbidden(
        &self,
        challenge: &str,
        scope: Option<&str>,
        sent: Option<&str>,
    ) -> Result<String, SignInError> {
        let mut state = self.state.lock().await;
        let current = self.current(&mut state).await?;
        if let Some(token) = current.filter(|token| Some(token.as_str()) != sent) {
            return Ok(token);
        }
        let wanted: Vec<String> = scope.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if wanted.is_empty() {
            return Err(SignInError::Forbidden);
        }
        // Requesting the same scopes again would loop forever.
        if wanted.iter().all(|scope| state.requested_scopes.contains(scope)) {
            return Err(SignInError::ScopesRejected { scopes: wanted.join(" ") });
        }
        self.sign_in(&mut state, challenge, &wanted).await
    }

    async fn current(&self, state: &mut State) -> Result<Option<String>, SignInError> {
        if state.manager.is_none() {
            state.manager = Some(self.manager().await?);
            let kept = self.credentials.load().await?;
            state.requested_scopes = kept.map(|kept| kept.granted_scopes).unwrap_or_default();
        }
        let Some(manager) = &state.manager else { return Ok(None) };
        let token = match manager.get_access_token().await {
            // The token needs a refresh, but the manager is not configured yet.
            Err(AuthError::InternalError(_)) if !state.ready => {
                if !self.resume(state, None).await? {
                    return Ok(None);
                }
                let Some(manager) = &state.manager else { return Ok(None) };
                manager.get_access_token().await
            }
            token => token,
        };
        match token {
            Ok(token) => Ok(Some(token)),
            Err(AuthError::AuthorizationRequired) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn hosts(&self) -> Result<AllowedHosts, SignInError> {
        hosts(&self.url, &self.private_ranges).map_err(|reason| AuthError::InternalError(reason).into())
    }

    fn http(&self) -> Result<SignInClient, SignInError> {
        SignInClient::new(self.hosts()?).map_err(|reason| AuthError::InternalError(reason).into())
    }

    async fn manager(&self) -> Result<AuthorizationManager, SignInError> {
        let http = Arc::new(self.http()?);
        let mut manager = AuthorizationManager::new_with_oauth_http_client(self.url.as_str(), http).await?;
        manager.set_credential_store(self.credentials.clone());
        Ok(manager)
    }

    /// Finds the authorization server's metadata.
    async fn discover(
        &self,
        challenge: Option<&str>,
    ) -> Result<(AuthorizationManager, AuthorizationMetadata), SignInError> {
        // Some servers refuse without a challenge.
        let challenge = challenge.filter(|challenge| !challenge.is_empty());
        let mut manager = self.manager().await?;
        let metadata = match manager.resolve_metadata_from_challenge(challenge).await {
            Ok(found) => found.metadata,
            Err(error @ AuthError::AuthorizationServerMismatch { .. }) => {
                legacy::metadata(&self.url, challenge, &self.hosts()?).await.ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        };
        let expected = self.settings.issuer.as_deref();
        if let Some(expected) = expected.filter(|expected| *expected != ANY_ISSUER) {
            let found = metadata.issuer.clone().unwrap_or_default();
            if found.trim_end_matches('/') != expected.trim_end_matches('/') {
                return Err(SignInError::IssuerMismatch { expected: expected.to_owned(), found });
            }
        }
        // The MCP server chose the authorization server. A secret goes to a place that its owner named, or to the server itself.
        let has_secret = !self.settings.secrets().is_empty();
        if expected.is_none() && has_secret && !same_origin(&metadata.token_endpoint, &self.url) {
            let found = metadata.issuer.clone().unwrap_or_else(|| metadata.token_endpoint.clone());
            return Err(SignInError::IssuerNotNamed { found });
        }
        manager.set_metadata(metadata.clone());
        Ok((manager, metadata))
    }

    /// Restores the stored registration so that tokens can be refreshed. Returns false if there is none, or
    /// if its issuer has changed.
    async fn resume(&self, state: &mut State, challenge: Option<&str>) -> Result<bool, SignInError> {
        let Some(registration) = self.credentials.registration() else { return Ok(false) };
        let (mut manager, metadata) = self.discover(challenge).await?;
        let same = registration.issuer == metadata.issuer;
        if same {
            self.configure_client(&mut manager, &registration)?;
        } else {
            self.credentials.clear().await?;
            state.requested_scopes.clear();
        }
        state.manager = Some(manager);
        state.ready = same;
        Ok(same)
    }

    /// Configures the manager with the client's identity.
    fn configure_client(
        &self,
        manager: &mut AuthorizationManager,
        registration: &Registration,
    ) -> Result<(), SignInError> {
        let mut config =
            OAuthClientConfig::new(registration.client_id.as_str(), registration.redirect_uri.as_str());
        // A secret from the environment is never stored as well.
        let named = self.settings.client_secret_env.as_deref().map(variable).transpose()?;
        if let Some(secret) = named.or_else(|| registration.client_secret.clone()) {
            config = config.with_client_secret(secret);
        }
        Ok(manager.configure_client(config)?)
    }

    /// Signs in with all scopes requested so far, plus `more`.
    async fn sign_in(
        &self,
        state: &mut State,
        challenge: &str,
        more: &[String],
    ) -> Result<String, SignInError> {
        let (mut manager, metadata) = self.discover(Some(challenge)).await?;
        let known = self.credentials.registration();
        let moved = known.is_some_and(|known| known.issuer != metadata.issuer);
        let before = if moved { Vec::new() } else { state.requested_scopes.clone() };
        let scopes = self.scopes(&manager, &metadata, before, more).await;
        match (self.settings.grant, &self.settings.enterprise) {
            (Grant::ClientCredentials, _) => {
                manager =
                    unattended::by_credentials(manager, &self.settings, &self.url, scopes.clone()).await?;
            }
            (Grant::Enterprise, Some(provider)) => {
                let (settings, url) = (&self.settings, &self.url);
                let http = self.http()?;
                let given = unattended::by_identity_provider(
                    &mut manager,
                    &metadata,
                    settings,
                    provider,
                    url,
                    scopes.clone(),
                    &http,
                );
                self.credentials.save(given.await?).await?;
            }
            _ => self.sign_in_interactively(state, &mut manager, &metadata, &scopes).await?,
        }
        let token = manager.get_access_token().await?;
        *state = State { manager: Some(manager), ready: true, requested_scopes: scopes, failed: None };
        self.fresh.store(true, Ordering::Relaxed);
        Ok(token)
    }

    /// Scopes to request: those in the settings, or else those that the server demands.
    async fn scopes(
        &self,
        manager: &AuthorizationManager,
        metadata: &AuthorizationMetadata,
        before: Vec<String>,
        more: &[String],
    ) -> Vec<String> {
        let mut scopes = before;
        if !more.is_empty() {
            scopes.extend_from_slice(more);
        } else if self.settings.scopes.is_empty() {
            scopes.extend(manager.select_initial_scopes(&[]).await);
        } else {
            scopes.extend_from_slice(&self.settings.scopes);
        }
        let supported = metadata.scopes_supported.iter().flatten();
        if !scopes.is_empty() && self.settings.grant == Grant::AuthorizationCode {
            scopes.extend(supported.filter(|scope| *scope == OFFLINE).cloned());
        }
        let mut seen = std::collections::BTreeSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes
    }

    /// Sends the user to the authorization page and waits for the redirect.
    async fn sign_in_interactively(
        &self,
        state: &mut State,
        manager: &mut AuthorizationManager,
        metadata: &AuthorizationMetadata,
        scopes: &[String],
    ) -> Result<(), SignInError> {
        if let Some(reason) = state.failed.clone() {
            return Err(SignInError::FailedBefore { reason });
        }
        let person = self.person.as_ref().ok_or(SignInError::NoTerminal)?;
        let known = self.credentials.registration().filter(|known| known.issuer == metadata.issuer);
        let back = match self.settings.redirect_port {
            Some(port) => Loopback::open(Some(port)).await?,
            // A registration is valid for its redirect port only.
            None => match Loopback::open(known.as_ref().and_then(port)).await {
                Ok(back) => back,
                Err(_) => Loopback::open(None).await?,
            },
        };
        let registration = self.registration(manager, metadata, known, back.address(), scopes).await?;
        let words: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let page = manager.get_authorization_url(&words).await?;
        // The server determines this URL, so only web pages are opened.
        if !Url::parse(&page).is_ok_and(|page| matches!(page.scheme(), "http" | "https")) {
            return Err(SignInError::Refused {
                reason: "the authorization URL is not a web page".to_owned(),
            });
        }
        if !person.show_page(&format!("the MCP server `{}` asks you to sign in", self.name), &page) {
            return Err(SignInError::NoTerminal);
        }
        let outcome = async {
            let answer = back.answer(&page).await?;
            self.credentials.register(registration)?;
            let issuer = answer.issuer.as_deref();
            manager.exchange_code_for_token_with_issuer(&answer.code, &answer.csrf_token, issuer).await?;
            Ok(())
        };
        let outcome = outcome.await;
        if let Err(error) = &outcome {
            let error: &SignInError = error;
            state.failed = Some(error.to_string());
        }
        outcome
    }

    /// The client's registration: from the settings, by metadata document, stored, or new.
    async fn registration(
        &self,
        manager: &mut AuthorizationManager,
        metadata: &AuthorizationMetadata,
        known: Option<Registration>,
        redirect_uri: &str,
        scopes: &[String],
    ) -> Result<Registration, SignInError> {
        let document = metadata.additional_fields.get("client_id_metadata_document_supported");
        let document = document.and_then(serde_json::Value::as_bool).unwrap_or(false);
        let mut registration = Registration {
            client_id: String::new(),
            client_secret: None,
            redirect_uri: redirect_uri.to_owned(),
            issuer: metadata.issuer.clone(),
        };
        if let Some(name) = &self.settings.client_id_env {
            registration.client_id = variable(name)?;
        } else if let Some(url) = self.settings.client_metadata_url.as_ref().filter(|_| document) {
            registration.client_id.clone_from(url);
        } else if let Some(known) = known.filter(|known| known.redirect_uri == redirect_uri) {
            registration = known;
        } else {
            let words: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let made = manager.register_client(NAME, redirect_uri, &words).await?;
            registration.client_id = made.client_id;
            registration.client_secret = made.client_secret;
        }
        self.configure_client(manager, &registration)?;
        Ok(registration)
    }
}

/// Refreshes the token. Returns false if the user must sign in again.
async fn renew(state: &State) -> Result<bool, SignInError> {
    let Some(manager) = &state.manager else { return Ok(false) };
    match manager.refresh_token().await {
        Ok(_) => Ok(true),
        Err(AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Loopback port in the redirect URI of a registration.
fn port(registration: &Registration) -> Option<u16> {
    Url::parse(&registration.redirect_uri).ok()?.port()
}

/// Whether both are URLs of the same scheme, host and port.
fn same_origin(one: &str, other: &str) -> bool {
    let origin = |url: &str| Url::parse(url).map(|url| url.origin());
    origin(one).is_ok_and(|one| one.is_tuple() && origin(other).is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::same_origin;

    #[test]
    fn only_the_server_s_own_origin_gets_a_secret_without_being_named() {
        let server = "https://mcp.example.org/mcp";
        assert!(same_origin("https://mcp.example.org:443/token", server));
        for other in [
            "https://login.example.org/token",
            "http://mcp.example.org/token",
            "https://mcp.example.org:8443/",
            "data:x",
            "",
        ] {
            assert!(!same_origin(other, server), "{other}");
        }
        assert!(!same_origin("data:x", "data:x"));
    }
}
