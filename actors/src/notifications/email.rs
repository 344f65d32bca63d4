//! The channel e-mail: plain text over SMTP.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;
use stentor::{Fatal, HandlerError};
use uuid::Uuid;

use super::courier::Channel;
use super::letters::Letter;
use super::settings::Settings;
use crate::events::EmailQueued;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// How long the mail server has for each of its answers.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Hands e-mails to the configured mail server, if there is one.
#[derive(Clone)]
pub(super) struct Email {
    way_out: Option<(Transport, Mailbox)>,
}

impl Email {
    pub(super) fn new(settings: &Settings) -> Self {
        let server = settings.smtp_url.as_ref().and_then(|url| transport(url.expose_secret()));
        let sender = settings.mail_from.as_ref().and_then(|sender| sender.parse().ok());
        Self { way_out: server.zip(sender) }
    }
}

/// Returns whether `url` names a mail server.
pub(super) fn is_mail_server(url: &str) -> bool {
    transport(url).is_some()
}

fn transport(url: &str) -> Option<Transport> {
    let builder = Transport::from_url(url).ok()?;
    Some(builder.timeout(Some(TIMEOUT)).build())
}

impl Channel for Email {
    const MODULE: &'static str = "notifications-email";

    type Queued = EmailQueued;

    fn letter_id(event: &EmailQueued) -> Uuid {
        event.letter_id
    }

    async fn send(&self, letter: &Letter) -> Result<(), HandlerError> {
        const NOT_CONFIGURED: &str = "no mail server is configured; set notifications.smtp_url and notifications.mail_from, then redrive";
        let (server, sender) = self.way_out.as_ref().ok_or(NOT_CONFIGURED).fatal()?;
        let message = message(letter, sender.clone())?;
        match server.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(refused(&error)),
            Err(error) => Err(HandlerError::retryable(error.to_string())),
        }
    }
}

/// As text, since lettre's errors repeat their cause in what they say themselves.
fn refused(error: &lettre::transport::smtp::Error) -> HandlerError {
    HandlerError::fatal(format!("the mail server refused the letter for good: {error}"))
}

/// Writes the e-mail; the same letter makes the same one every time.
fn message(letter: &Letter, sender: Mailbox) -> Result<Message, HandlerError> {
    let wrong = |_| {
        let user = letter.user_id;
        HandlerError::fatal(format!(
            "user {user} has no valid e-mail address; correct notification_channels, then redrive"
        ))
    };
    let recipient: Address = letter.address.expose_secret().parse().map_err(wrong)?;
    let id = format!("<{}@{}>", letter.id, sender.email.domain());
    // So that no out-of-office reply answers (RFC 3834).
    let automatic =
        HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    Message::builder()
        .message_id(Some(id))
        .date(letter.created_at.into())
        .from(sender)
        .to(Mailbox::new(None, recipient))
        .subject(letter.title.clone())
        .raw_header(automatic)
        .header(ContentType::TEXT_PLAIN)
        .body(letter.message.clone())
        .fatal()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::{Letter, message};

    fn letter(title: &str, address: &str) -> Letter {
        Letter {
            id: Uuid::nil(),
            user_id: Uuid::nil(),
            title: title.to_owned(),
            message: "Hello".to_owned(),
            kind: "info".to_owned(),
            created_at: datetime!(2025-11-24 14:30 UTC),
            address: address.into(),
            secret: None,
        }
    }

    fn written(title: &str) -> String {
        let sender = "Stentor <stentor@example.com>".parse().unwrap();
        String::from_utf8(message(&letter(title, "zoe@example.org"), sender).unwrap().formatted()).unwrap()
    }

    #[test]
    fn the_same_letter_makes_the_same_message() {
        let text = written("New Pod Member");
        assert_eq!(text, written("New Pod Member"));
        assert!(
            text.contains("Message-ID: <00000000-0000-0000-0000-000000000000@example.com>\r\n"),
            "{text}"
        );
        assert!(text.contains("Date: Mon, 24 Nov 2025 14:30:00 +0000\r\n"), "{text}");
    }

    #[test]
    fn a_title_adds_no_header() {
        let text = written("Hello\r\nBcc: everybody@example.org");
        assert!(!text.contains("\r\nBcc:"), "{text}");
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_not_shown() {
        for wrong in
            ["", "zoe", "zoe@", "zoe@example.org\r\nRCPT TO:<x@example.org>", "a@b.example, c@d.example"]
        {
            let sender = "stentor@example.com".parse().unwrap();
            let error = message(&letter("Hello", wrong), sender).unwrap_err().to_string();
            assert!(
                error.contains("no valid e-mail address") && (wrong.is_empty() || !error.contains(wrong))
            );
        }
    }
}
