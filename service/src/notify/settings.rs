//! The table `[notify]` of an agent file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sojourn_tools::AllowedHosts;

/// The table `[notify]`: recipients of messages about unattended runs.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotifySettings {
    /// The events that are told: `"asked"`, a call waits for an approval; `"died"`, the agent died in its world; `"goal"`, a task
    /// was done for the first time in the run; `"budget"`, 80 % of a budget are used up; `"stuck"`, the run was paused because it
    /// got nowhere; `"finished"`, the run came to its end; `"failed"`, the run was given up.
    ///
    /// Default: all but `"died"`. Example: `on = ["asked", "stuck", "failed"]`.
    pub on: Vec<EventKind>,
    /// A web server that gets every message by POST, as JSON.
    ///
    /// Default: none. Example: `webhook = { url = "https://example.org/sojourn", secret_env = "SOJOURN_WEBHOOK_SECRET" }`.
    pub webhook: Option<WebhookSettings>,
    /// A program and its arguments. It gets the message as JSON on its standard input, has 30 seconds, and sees of the environment
    /// `HOME`, `LANG`, `PATH` and `TMPDIR`. A relative path is relative to the agent file.
    ///
    /// Default: none. Example: `command = ["./tell.sh"]`.
    pub command: Vec<String>,
    /// Whether messages are shown on the desktop, by `notify-send`.
    ///
    /// Default: false. Example: `desktop = true`.
    pub desktop: bool,
}

/// The webhook of `[notify]`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The address. A redirect is followed on the same origin only.
    pub url: String,
    /// The environment variable that holds the secret by which messages are signed, as the Standard Webhooks specification says
    /// (HMAC-SHA256 over id, time and body). Its value never gets into the log or a message.
    ///
    /// Default: none, messages are not signed.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// Ranges of addresses that are not public and that the host may resolve to: `10.0.0.0/8`. `localhost` and an address that
    /// `url` names literally need none.
    ///
    /// Default: none.
    #[serde(default)]
    pub private_ranges: Vec<String>,
}

/// What people can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A call waits for an approval.
    Asked,
    /// The agent died in its world.
    Died,
    /// A task was done for the first time in the run.
    Goal,
    /// 80 % of a budget are used up.
    Budget,
    /// The run was paused because it got nowhere.
    Stuck,
    /// The run came to its end.
    Finished,
    /// The run was given up.
    Failed,
}

impl EventKind {
    /// The word in settings and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Died => "died",
            Self::Goal => "goal",
            Self::Budget => "budget",
            Self::Stuck => "stuck",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

impl Default for NotifySettings {
    fn default() -> Self {
        use EventKind::{Asked, Budget, Failed, Finished, Goal, Stuck};
        Self {
            on: vec![Asked, Goal, Budget, Stuck, Finished, Failed],
            webhook: None,
            command: Vec::new(),
            desktop: false,
        }
    }
}

impl NotifySettings {
    /// The names of the channels that are set up.
    pub fn channels(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("webhook", self.webhook.is_some()),
            ("command", !self.command.is_empty()),
            ("desktop", self.desktop),
        ];
        all.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name)
    }

    /// Checks what can be checked before there is a message.
    ///
    /// # Errors
    /// The defect, as the rest of a sentence that begins with the name of the table.
    pub fn check(&self) -> Result<(), String> {
        match &self.webhook {
            Some(webhook) => webhook.hosts().map(|_| ()).map_err(|error| format!("webhook: {error}")),
            None => Ok(()),
        }
    }
}

impl WebhookSettings {
    /// The address, and the rules of connections to it: those of every HTTP request of an agent, with the address's host as the
    /// only one that is listed.
    ///
    /// # Errors
    /// The address is no HTTP address, or its rules forbid it.
    pub(super) fn hosts(&self) -> Result<(reqwest::Url, AllowedHosts), String> {
        let url = reqwest::Url::parse(&self.url).map_err(|_| "`url` is no address".to_owned())?;
        let host = url.host_str().ok_or_else(|| "`url` names no host".to_owned())?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let hosts = AllowedHosts::new(&[host], &self.private_ranges)?;
        hosts.check(&url)?;
        Ok((url, hosts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(url: &str) -> WebhookSettings {
        WebhookSettings { url: url.to_owned(), secret_env: None, private_ranges: Vec::new() }
    }

    #[test]
    fn a_webhook_obeys_the_rules_of_other_requests() {
        for fine in ["https://example.org/hook?x=1", "http://127.0.0.1:8080/", "http://localhost:9/"] {
            assert!(hook(fine).hosts().is_ok(), "{fine}");
        }
        for bad in ["ftp://example.org/", "example.org", "file:///etc/passwd"] {
            assert!(hook(bad).hosts().is_err(), "{bad}");
        }
        let (_, hosts) = hook("https://example.org/hook").hosts().unwrap();
        let elsewhere = reqwest::Url::parse("https://169.254.169.254/latest").unwrap();
        assert!(hosts.check(&elsewhere).is_err(), "a redirect to a service of the cloud");
    }
}
