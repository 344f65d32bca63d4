//! The channel webhook, signed as Standard Webhooks says (standardwebhooks.com, symmetric signatures).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::Sha256;
use stentor::{Fatal, HandlerError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::courier::Channel;
use super::letters::Letter;
use super::post::Post;
use crate::events::WebhookQueued;

/// How many bytes a secret may have.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Posts signed JSON: `type`, `timestamp` and the notification as `data`.
pub(super) struct Webhook(pub(super) Post);

/// The secret cannot sign.
#[derive(Debug, thiserror::Error)]
#[error(
    "the webhook's secret must be whsec_ and 24 to 64 bytes in base64; correct notification_channels, then redrive"
)]
struct BadSecret;

impl Channel for Webhook {
    const MODULE: &'static str = "notifications-webhook";

    type Queued = WebhookQueued;

    fn letter_id(event: &WebhookQueued) -> Uuid {
        event.letter_id
    }

    async fn send(&self, letter: &Letter) -> Result<(), HandlerError> {
        let body = body(letter).fatal()?;
        let id = letter.id.to_string();
        // The moment of this attempt, as receivers refuse what is old; the id stays the same.
        let timestamp = OffsetDateTime::now_utc().unix_timestamp();
        let secret = letter.secret.as_ref().ok_or(BadSecret).fatal()?;
        let signature = sign(secret, &id, timestamp, &body).fatal()?;
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::try_from(id).fatal()?);
        headers.insert("webhook-timestamp", timestamp.into());
        headers.insert("webhook-signature", HeaderValue::try_from(signature).fatal()?);
        self.0.send(&letter.address, headers, body).await
    }
}

fn body(letter: &Letter) -> Result<String, time::error::Format> {
    let Letter { user_id, title, message, kind, .. } = letter;
    let timestamp = letter.created_at.format(&Rfc3339)?;
    let data = json!({ "userId": user_id, "title": title, "message": message, "type": kind });
    Ok(json!({ "type": "notification.send", "timestamp": timestamp, "data": data }).to_string())
}

fn sign(secret: &SecretString, id: &str, timestamp: i64, body: &str) -> Result<String, BadSecret> {
    let encoded = secret.expose_secret().strip_prefix("whsec_").ok_or(BadSecret)?;
    let key = STANDARD.decode(encoded).map_err(|_| BadSecret)?;
    if !SECRET_BYTES.contains(&key.len()) {
        return Err(BadSecret);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| BadSecret)?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn the_known_message_has_the_known_signature() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
        let signature =
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_cannot_sign_is_refused_and_not_shown() {
        for bad in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_not base64",
            "whsec_c2hvcnQ=",
            &format!("whsec_{}", "A".repeat(88)),
        ] {
            let error = sign(&bad.into(), "id", 0, "").unwrap_err().to_string();
            assert!(bad.len() < 8 || !error.contains(bad), "{error}");
        }
    }
}
