//! A message by POST, signed as the Standard Webhooks specification (1.0.0, "Signature scheme") says.

use super::{Undelivered, WebhookSettings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sojourn_memory::Message;
use std::time::Duration;

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The prefix of a secret that is written in base64.
const PREFIX: &str = "whsec_";

/// The value of `webhook-signature` for a message: HMAC-SHA256 over id, seconds since 1970 and body, in base64. A secret that
/// begins with `whsec_` is the base64 of the key; any other is the key itself.
pub fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let decoded = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    // Every length of key is allowed.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

pub(super) async fn deliver(
    settings: &WebhookSettings,
    message: &Message,
    now_ms: i64,
) -> Result<(), Undelivered> {
    let (url, hosts) = settings.hosts().map_err(Undelivered::ForEver)?;
    let client = hosts.client(TIMEOUT, true).map_err(Undelivered::ForNow)?;
    let id = format!("{}-{}", message.new.run, message.no);
    let seconds = now_ms / 1000;
    let mut request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", seconds.to_string())
        .body(message.new.body.clone());
    if let Some(variable) = &settings.secret_env {
        let Ok(secret) = std::env::var(variable) else {
            return Err(Undelivered::ForNow(format!(
                "`{variable}`, which the message is signed by, is not set"
            )));
        };
        request = request.header("webhook-signature", signature(&secret, &id, seconds, &message.new.body));
    }
    // The address may hold a secret of its own, so no error names it.
    let response = request.send().await.map_err(|error| {
        let error = error.without_url();
        let kind = if error.is_timeout() { "no answer within 10 s" } else { "no connection" };
        Undelivered::ForNow(format!("the webhook failed: {kind}"))
    })?;
    let status = response.status();
    match status.as_u16() {
        200..=299 => Ok(()),
        // Gone: the specification's way to unsubscribe.
        410 => {
            Err(Undelivered::ForEver("the webhook answered 410: the receiver has unsubscribed".to_owned()))
        }
        code => Err(Undelivered::ForNow(format!("the webhook answered {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's reference libraries.
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            body,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
