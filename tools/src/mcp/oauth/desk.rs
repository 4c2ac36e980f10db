//! The desk where tokens are got, shown and renewed: one for each server.

use super::keeper::{Keeper, Registration};
use super::loopback::Loopback;
use super::{Grant, OAuthSettings, SignInError, legacy, machine, variable};
use crate::builtin::Person;
use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, CredentialStore as _, OAuthClientConfig,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// What this client calls itself where it registers.
const NAME: &str = "Sojourn";
/// What gives a refresh token, where an authorization server knows it.
const OFFLINE: &str = "offline_access";

/// Gets tokens for one server. Requests that need one at the same time wait for the same.
pub struct Desk {
    /// The name that the agent file gives the server.
    name: String,
    url: String,
    settings: OAuthSettings,
    person: Option<Arc<dyn Person>>,
    keeper: Keeper,
    state: Mutex<State>,
    /// The token was just got, and no request with it has succeeded yet.
    fresh: AtomicBool,
}

#[derive(Default)]
struct State {
    manager: Option<AuthorizationManager>,
    /// Whether the manager knows the authorization server and the client, so that it can renew tokens.
    ready: bool,
    /// All scopes that were asked for so far.
    asked: Vec<String>,
    /// Why a person's attempt failed. They are not asked again: a connection is tried every minute.
    failed: Option<String>,
}

impl Desk {
    /// For the server at `url`, named `name`. A person's tokens are kept in a file of `directory`; those that the agent gets by
    /// itself need not be.
    pub fn new(
        name: &str,
        url: &str,
        settings: OAuthSettings,
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
            settings,
            person,
            keeper: Keeper::new(file),
            state: Mutex::default(),
            fresh: AtomicBool::new(false),
        }
    }

    /// The token to show, renewed if its time is nearly over; `None` as long as there is none.
    pub async fn token(&self) -> Result<Option<String>, SignInError> {
        self.current(&mut *self.state.lock().await).await
    }

    /// A request with the present token succeeded.
    pub fn accepted(&self) {
        self.fresh.store(false, Ordering::Relaxed);
    }

    /// A token for a server that does not know who asks (401): it was shown `sent`, or nothing.
    pub async fn unknown(&self, challenge: &str, sent: Option<&str>) -> Result<String, SignInError> {
        let mut state = self.state.lock().await;
        let current = self.current(&mut state).await?;
        if let Some(token) = current.filter(|token| Some(token.as_str()) != sent) {
            return Ok(token);
        }
        if sent.is_some() {
            if self.fresh.load(Ordering::Relaxed) {
                return Err(SignInError::NotAccepted);
            }
            // Looked up anew, because the server may send us to another authorization server now.
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

    /// A token for a server that knows who asks and wants more (403).
    pub async fn forbidden(
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
        // Asking for the same again would go on for ever.
        if wanted.iter().all(|scope| state.asked.contains(scope)) {
            return Err(SignInError::Futile { scopes: wanted.join(" ") });
        }
        self.sign_in(&mut state, challenge, &wanted).await
    }

    async fn current(&self, state: &mut State) -> Result<Option<String>, SignInError> {
        if state.manager.is_none() {
            state.manager = Some(self.manager().await?);
            let kept = self.keeper.load().await?;
            state.asked = kept.map(|kept| kept.granted_scopes).unwrap_or_default();
        }
        let Some(manager) = &state.manager else { return Ok(None) };
        let token = match manager.get_access_token().await {
            // It needs renewing, and how is not known yet.
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

    async fn manager(&self) -> Result<AuthorizationManager, SignInError> {
        let mut manager = AuthorizationManager::new(self.url.as_str()).await?;
        manager.set_credential_store(self.keeper.clone());
        Ok(manager)
    }

    /// Finds out who gives out tokens for the server.
    async fn discover(
        &self,
        challenge: Option<&str>,
    ) -> Result<(AuthorizationManager, AuthorizationMetadata), SignInError> {
        let mut manager = self.manager().await?;
        let metadata = match manager.resolve_metadata_from_challenge(challenge).await {
            Ok(found) => found.metadata,
            Err(error @ AuthError::AuthorizationServerMismatch { .. }) => {
                legacy::metadata(&self.url, challenge).await.ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(expected) = &self.settings.issuer {
            let found = metadata.issuer.clone().unwrap_or_default();
            if found.trim_end_matches('/') != expected.trim_end_matches('/') {
                return Err(SignInError::Issuer { expected: expected.clone(), found });
            }
        }
        manager.set_metadata(metadata.clone());
        Ok((manager, metadata))
    }

    /// Takes up what is kept, so that tokens can be renewed; whether there is something that still counts.
    async fn resume(&self, state: &mut State, challenge: Option<&str>) -> Result<bool, SignInError> {
        let Some(registration) = self.keeper.registration() else { return Ok(false) };
        let (mut manager, metadata) = self.discover(challenge).await?;
        let same = registration.issuer == metadata.issuer;
        if same {
            self.introduce(&mut manager, &registration)?;
        } else {
            self.keeper.clear().await?;
            state.asked.clear();
        }
        state.manager = Some(manager);
        state.ready = same;
        Ok(same)
    }

    /// Tells the manager which client it is.
    fn introduce(
        &self,
        manager: &mut AuthorizationManager,
        registration: &Registration,
    ) -> Result<(), SignInError> {
        let mut config =
            OAuthClientConfig::new(registration.client_id.as_str(), registration.redirect_uri.as_str());
        // A secret that the settings name is not kept in a second place.
        let named = self.settings.client_secret_env.as_deref().map(variable).transpose()?;
        if let Some(secret) = named.or_else(|| registration.client_secret.clone()) {
            config = config.with_client_secret(secret);
        }
        Ok(manager.configure_client(config)?)
    }

    /// Gets a token with all scopes that were asked for so far, and `more`.
    async fn sign_in(
        &self,
        state: &mut State,
        challenge: &str,
        more: &[String],
    ) -> Result<String, SignInError> {
        let (mut manager, metadata) = self.discover(Some(challenge)).await?;
        let known = self.keeper.registration();
        let moved = known.is_some_and(|known| known.issuer != metadata.issuer);
        let before = if moved { Vec::new() } else { state.asked.clone() };
        let scopes = self.scopes(&manager, &metadata, before, more).await;
        match (self.settings.grant, &self.settings.enterprise) {
            (Grant::ClientCredentials, _) => {
                manager = machine::by_credentials(manager, &self.settings, &self.url, scopes.clone()).await?;
            }
            (Grant::Enterprise, Some(company)) => {
                let (settings, url) = (&self.settings, &self.url);
                let given =
                    machine::by_company(&mut manager, &metadata, settings, company, url, scopes.clone());
                self.keeper.save(given.await?).await?;
            }
            _ => self.by_person(state, &mut manager, &metadata, &scopes).await?,
        }
        let token = manager.get_access_token().await?;
        *state = State { manager: Some(manager), ready: true, asked: scopes, failed: None };
        self.fresh.store(true, Ordering::Relaxed);
        Ok(token)
    }

    /// What is asked for: what the settings say, or else what the server says that it needs.
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

    /// Sends somebody to the authorization server's page, and waits until they are back.
    async fn by_person(
        &self,
        state: &mut State,
        manager: &mut AuthorizationManager,
        metadata: &AuthorizationMetadata,
        scopes: &[String],
    ) -> Result<(), SignInError> {
        if let Some(reason) = state.failed.clone() {
            return Err(SignInError::Before { reason });
        }
        let person = self.person.as_ref().ok_or(SignInError::Nobody)?;
        let known = self.keeper.registration().filter(|known| known.issuer == metadata.issuer);
        let back = match self.settings.redirect_port {
            Some(port) => Loopback::open(Some(port)).await?,
            // A registration is good for the port that it names.
            None => match Loopback::open(known.as_ref().and_then(port)).await {
                Ok(back) => back,
                Err(_) => Loopback::open(None).await?,
            },
        };
        let registration = self.registered(manager, metadata, known, back.address(), scopes).await?;
        let words: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let page = manager.get_authorization_url(&words).await?;
        // The address is made of what the server says: nobody is sent to anything but a page of the web.
        if !Url::parse(&page).is_ok_and(|page| matches!(page.scheme(), "http" | "https")) {
            return Err(SignInError::Refused {
                reason: "the server names no web page to do it at".to_owned(),
            });
        }
        if !person.sent_to(&format!("`{}` wants you to sign in", self.name), &page) {
            return Err(SignInError::Nobody);
        }
        let outcome = async {
            let answer = back.answer(&page).await?;
            self.keeper.register(registration)?;
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

    /// As whom this client is known: as the settings say, by a document, as before, or newly registered.
    async fn registered(
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
        self.introduce(manager, &registration)?;
        Ok(registration)
    }
}

/// Renews the token; whether somebody need not sign in again.
async fn renew(state: &State) -> Result<bool, SignInError> {
    let Some(manager) = &state.manager else { return Ok(false) };
    match manager.refresh_token().await {
        Ok(_) => Ok(true),
        Err(AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The port of this machine that a registration names.
fn port(registration: &Registration) -> Option<u16> {
    Url::parse(&registration.redirect_uri).ok()?.port()
}
