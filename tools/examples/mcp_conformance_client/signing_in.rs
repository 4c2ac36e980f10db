//! The OAuth settings that a scenario demands, and the person with the browser.

use async_trait::async_trait;
use serde::Deserialize;
use sojourn_tools::builtin::Person;
use sojourn_tools::mcp::{Algorithm, EnterpriseSettings, Grant, OAuthSettings};
use std::io;
use std::process::{Command, ExitCode};

/// Address of the client metadata document that the suite expects where a server offers no registration. Nothing is fetched from it.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";
/// Environment variables that the settings name.
const CLIENT_ID: &str = "CONFORMANCE_CLIENT_ID";
const CLIENT_SECRET: &str = "CONFORMANCE_CLIENT_SECRET";
const PRIVATE_KEY: &str = "CONFORMANCE_PRIVATE_KEY";
const IDP_CLIENT_ID: &str = "CONFORMANCE_IDP_CLIENT_ID";
const ID_TOKEN: &str = "CONFORMANCE_ID_TOKEN";
/// Set in the process that has these variables.
const TOLD: &str = "CONFORMANCE_TOLD";

/// The credentials that a scenario gives to its client.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    client_id: Option<String>,
    client_secret: Option<String>,
    private_key_pem: Option<String>,
    issuer: Option<String>,
    idp_client_id: Option<String>,
    idp_id_token: Option<String>,
    idp_issuer: Option<String>,
    idp_token_endpoint: Option<String>,
}

fn given() -> Given {
    std::env::var("MCP_CONFORMANCE_CONTEXT")
        .ok()
        .and_then(|context| serde_json::from_str(&context).ok())
        .unwrap_or_default()
}

/// Runs this program again with the suite's credentials as variables; `None` if that is not needed.
pub fn told_by_variables() -> io::Result<Option<ExitCode>> {
    let given = given();
    if given.client_id.is_none() || std::env::var_os(TOLD).is_some() {
        return Ok(None);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(TOLD, "1");
    let values = [
        (CLIENT_ID, given.client_id),
        (CLIENT_SECRET, given.client_secret),
        (PRIVATE_KEY, given.private_key_pem),
        (IDP_CLIENT_ID, given.idp_client_id),
        (ID_TOKEN, given.idp_id_token),
    ];
    command.envs(values.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Ok(Some(if command.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// The OAuth settings for these credentials.
pub fn settings() -> OAuthSettings {
    let given = given();
    let named = |name: &str, value: &Option<String>| value.as_ref().map(|_| name.to_owned());
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let enterprise =
        given.idp_issuer.zip(given.idp_token_endpoint).map(|(issuer, token_endpoint)| EnterpriseSettings {
            issuer,
            token_endpoint,
            client_id_env: IDP_CLIENT_ID.to_owned(),
            client_secret_env: None,
            id_token_env: ID_TOKEN.to_owned(),
        });
    let grant = match &enterprise {
        Some(_) => Grant::Enterprise,
        None if scenario.contains("client-credentials") => Grant::ClientCredentials,
        None => Grant::AuthorizationCode,
    };
    OAuthSettings {
        grant,
        client_id_env: named(CLIENT_ID, &given.client_id),
        client_secret_env: named(CLIENT_SECRET, &given.client_secret),
        private_key_env: named(PRIVATE_KEY, &given.private_key_pem),
        algorithm: Algorithm::ES256,
        // The suite starts an authorization server on any port.
        issuer: Some(given.issuer.unwrap_or_else(|| "*".to_owned())),
        client_metadata_url: Some(DOCUMENT.to_owned()),
        enterprise,
        ..OAuthSettings::default()
    }
}

/// A person who opens every page and agrees to everything on it. The suite's pages redirect back at once.
pub struct Browser;

#[async_trait]
impl Person for Browser {
    async fn answer(&self, _question: &str) -> Option<String> {
        None
    }

    fn show_page(&self, _reason: &str, address: &str) -> bool {
        let address = address.to_owned();
        tokio::spawn(async move { reqwest::get(address).await.map(|answer| answer.status()) });
        true
    }
}
