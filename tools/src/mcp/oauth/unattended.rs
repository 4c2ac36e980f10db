//! Sign-in without a user: with the agent's own credentials, or through a company's identity provider.

use super::http_client::SignInClient;
use super::{EnterpriseSettings, OAuthSettings, SignInError, variable};
use reqwest::Url;
use rmcp::transport::auth::enterprise::{
    EmaAuthorizationServer, EmaClientAuthentication, EmaExchangeRequest,
};
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, ClientCredentialsConfig, OAuthClientConfig,
    OAuthTokenResponse, StoredCredentials,
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Obtains a token with the client's secret or key. The returned manager holds the token.
pub async fn by_credentials(
    mut manager: AuthorizationManager,
    settings: &OAuthSettings,
    url: &str,
    scopes: Vec<String>,
) -> Result<AuthorizationManager, SignInError> {
    let config = |resource: String| credentials(settings, scopes.clone(), resource);
    let first = config(url.to_owned())?;
    manager.validate_client_credentials_metadata(&first)?;
    manager.configure_client_credentials(&first)?;
    let config = config(resource(&manager, url).await)?;
    // rmcp's future for a signed assertion is not `Send`, so it runs on a blocking thread.
    let runtime = tokio::runtime::Handle::current();
    let exchange = tokio::task::spawn_blocking(move || {
        let exchanged = runtime.block_on(manager.exchange_client_credentials(&config));
        exchanged.map(|_| manager)
    });
    Ok(exchange.await.map_err(|error| AuthError::InternalError(error.to_string()))??)
}

fn credentials(
    settings: &OAuthSettings,
    scopes: Vec<String>,
    resource: String,
) -> Result<ClientCredentialsConfig, SignInError> {
    let named = |name: &Option<String>| variable(name.as_deref().unwrap_or_default());
    let client_id = named(&settings.client_id_env)?;
    let resource = Some(resource);
    Ok(match &settings.private_key_env {
        Some(key) => ClientCredentialsConfig::PrivateKeyJwt {
            client_id,
            signing_key: variable(key)?.into_bytes(),
            signing_algorithm: settings.algorithm.into(),
            token_endpoint_audience: None,
            scopes,
            resource,
        },
        None => ClientCredentialsConfig::ClientSecret {
            client_id,
            client_secret: named(&settings.client_secret_env)?,
            scopes,
            resource,
        },
    })
}

/// Exchanges the user's ID token at the identity provider, and obtains an access token with the result.
pub async fn by_identity_provider(
    manager: &mut AuthorizationManager,
    metadata: &AuthorizationMetadata,
    settings: &OAuthSettings,
    provider: &EnterpriseSettings,
    url: &str,
    scopes: Vec<String>,
    http: &SignInClient,
) -> Result<StoredCredentials, SignInError> {
    let id = variable(settings.client_id_env.as_deref().unwrap_or_default())?;
    let secret = settings.client_secret_env.as_deref().map(variable).transpose()?;
    manager.configure_client(OAuthClientConfig::new(id.as_str(), "http://127.0.0.1/"))?;
    let resource = resource(manager, url).await;
    let issuer = metadata.issuer.as_deref().ok_or(AuthError::NoAuthorizationSupport)?;
    let server = EmaAuthorizationServer::new(issuer, metadata.token_endpoint.as_str(), id.as_str())
        .with_client_authentication(authentication(secret, metadata));
    let idp_secret = provider.client_secret_env.as_deref().map(variable).transpose()?;
    let idp_client = variable(&provider.client_id_env)?;
    let idp = EmaAuthorizationServer::new(&provider.issuer, &provider.token_endpoint, idp_client)
        .with_client_authentication(match idp_secret {
            Some(secret) => EmaClientAuthentication::ClientSecretBasic(oauth2::ClientSecret::new(secret)),
            None => EmaClientAuthentication::None,
        });
    let vouched = variable(&provider.id_token_env)?;
    let token = EmaExchangeRequest::new_with_id_token(idp, server, &resource, &vouched)
        .with_scopes(scopes)
        .exchange(http, http)
        .await?;
    let mut answer = json!({"access_token": token.access_token.secret(), "token_type": "bearer"});
    if let Some(lasts) = token.expires_in {
        answer["expires_in"] = json!(lasts.as_secs());
    }
    let answer: OAuthTokenResponse =
        serde_json::from_value(answer).map_err(|error| AuthError::InternalError(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let granted = token.scopes.into_iter().collect();
    Ok(StoredCredentials::new(id, Some(answer), granted, Some(now)).with_issuer(metadata.issuer.clone()))
}

/// Sends the secret in a header, unless the server supports only the request body.
fn authentication(secret: Option<String>, metadata: &AuthorizationMetadata) -> EmaClientAuthentication {
    let Some(secret) = secret.map(oauth2::ClientSecret::new) else { return EmaClientAuthentication::None };
    let methods = metadata.additional_fields.get("token_endpoint_auth_methods_supported");
    let known = |method: &str| {
        methods.and_then(Value::as_array).is_some_and(|methods| methods.iter().any(|one| one == method))
    };
    if known("client_secret_post") && !known("client_secret_basic") {
        EmaClientAuthentication::ClientSecretPost(secret)
    } else {
        EmaClientAuthentication::ClientSecretBasic(secret)
    }
}

/// The server's resource identifier. The manager exposes it only in the authorization URL.
async fn resource(manager: &AuthorizationManager, url: &str) -> String {
    let page = manager.get_authorization_url(&[]).await.ok().and_then(|page| Url::parse(&page).ok());
    let named = page.as_ref().and_then(|page| page.query_pairs().find(|(key, _)| key == "resource"));
    named.map_or_else(|| url.to_owned(), |(_, resource)| resource.into_owned())
}
