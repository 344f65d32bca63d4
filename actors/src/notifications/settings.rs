//! What a configuration may say about notifications.

use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::email;

/// The section `[notifications]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether the module runs. Default true.
    pub enabled: bool,
    /// The mail server, such as `smtps://USER:PASSWORD@HOST`, or `smtp://…?tls=required` for STARTTLS.
    ///
    /// Default none: e-mails then become dead letters that say so. It is the operator's own
    /// choice, so it may well be private. Written out, it is null.
    #[serde(serialize_with = "as_null", deserialize_with = "mail_server")]
    pub smtp_url: Option<SecretString>,
    /// Whom e-mails come from, such as `Stentor <stentor@example.com>`. Default none, which no e-mail can do with.
    #[serde(deserialize_with = "sender")]
    pub mail_from: Option<String>,
    /// Whether webhooks may go to private, loopback and link-local addresses, and without TLS. Default false.
    pub allow_private: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, smtp_url: None, mail_from: None, allow_private: false }
    }
}

#[allow(clippy::ref_option, reason = "the form that serde asks for")]
fn as_null<S: Serializer>(_: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_none()
}

/// Refuses what is no mail server without showing it, as it may hold a password.
fn mail_server<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    const WRONG: &str = "notifications.smtp_url must read smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST?tls=required";
    let url = Option::<SecretString>::deserialize(from)?;
    match &url {
        Some(url) if !email::is_mail_server(url.expose_secret()) => Err(D::Error::custom(WRONG)),
        _ => Ok(url),
    }
}

fn sender<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let sender = Option::<String>::deserialize(from)?;
    match sender.as_deref().map(str::parse::<Mailbox>) {
        Some(Err(error)) => Err(D::Error::custom(format!("notifications.mail_from: {error}"))),
        _ => Ok(sender),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Settings;
    use crate::settings::read;

    #[test]
    fn every_key_has_a_default_and_is_written_out() {
        let settings = read::<Settings>(json!({})).unwrap();
        let written = serde_json::to_value(&settings).unwrap();
        let expected =
            json!({ "enabled": true, "smtp_url": null, "mail_from": null, "allow_private": false });
        assert_eq!(written, expected);
    }

    #[test]
    fn the_password_of_the_mail_server_is_never_shown() {
        let settings =
            read::<Settings>(json!({ "smtp_url": "smtps://user:s3cret@mail.example.com" })).unwrap();
        let written = serde_json::to_string(&settings).unwrap();
        assert!(!written.contains("s3cret") && !format!("{settings:?}").contains("s3cret"), "{written}");
        for wrong in ["http://user:s3cret@mail.example.com", "s3cret", "smtp://user:s3cret@:25"] {
            let error = read::<Settings>(json!({ "smtp_url": wrong })).unwrap_err();
            assert!(error.contains("notifications.smtp_url") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_sender_without_an_address_is_refused_by_name() {
        assert!(read::<Settings>(json!({ "mail_from": "Stentor <stentor@example.com>" })).is_ok());
        assert!(
            read::<Settings>(json!({ "mail_from": "Stentor" }))
                .unwrap_err()
                .contains("notifications.mail_from")
        );
    }
}
