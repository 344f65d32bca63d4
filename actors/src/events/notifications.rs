//! Events that ask for somebody to be told something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use uuid::Uuid;

use super::{Example, example_id};
use crate::text::shortened;

/// A user is to be told something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSend {
    /// Who is told.
    pub user_id: Uuid,
    /// The headline.
    pub title: String,
    /// The text.
    pub message: String,
    /// How it is meant.
    #[serde(rename = "type")]
    pub kind: NotificationKind,
}

/// The longest message that is made of what the tables hold, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

impl NotificationSend {
    /// Makes one whose message quotes names as the tables hold them: of any length, on SQLite even with a
    /// NUL, and no event may hold either.
    pub(crate) fn quoting(user_id: Uuid, title: &str, message: &str, kind: NotificationKind) -> Self {
        let message = shortened(message.chars().filter(|c| *c != '\0'), MESSAGE_CHARS_MAX);
        Self { user_id, title: title.to_owned(), message, kind }
    }
}

/// How a notification is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// Good to know.
    Info,
    /// Something went well.
    Success,
    /// Something needs attention.
    Warning,
    /// Something failed.
    Error,
}

impl NotificationKind {
    /// Returns the word under which it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Event for NotificationSend {
    const TYPE: &'static str = "notification.send";
}

impl Example for NotificationSend {
    fn example() -> Self {
        Self {
            user_id: example_id(51),
            title: "New Pod Member".to_owned(),
            message: "Zoë Müller joined your pod".to_owned(),
            kind: NotificationKind::Info,
        }
    }
}

/// Defines the event that says that a letter waits for its channel.
///
/// One type for each channel, so that each is retried and broken on its own.
macro_rules! letter_queued {
    ($(#[$doc:meta] $name:ident = $type:literal;)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The letter, in `notification_letters`.
            pub letter_id: Uuid,
        }

        impl Event for $name {
            const TYPE: &'static str = $type;
        }

        impl Example for $name {
            fn example() -> Self {
                Self { letter_id: example_id(52) }
            }
        }
    )*};
}

letter_queued! {
    /// An e-mail waits to be sent.
    EmailQueued = "email.queued";
    /// A webhook's message waits to be sent.
    WebhookQueued = "webhook.queued";
    /// A message to Slack waits to be sent.
    SlackQueued = "slack.queued";
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{MESSAGE_CHARS_MAX, NotificationKind, NotificationSend};

    #[test]
    fn a_message_quotes_no_more_than_an_event_may_hold() {
        let quoting = |message: &str| {
            NotificationSend::quoting(Uuid::nil(), "Hello", message, NotificationKind::Info).message
        };
        assert_eq!(quoting("Zo\0ë"), "Zoë");
        let longest = "é".repeat(MESSAGE_CHARS_MAX);
        assert_eq!(quoting(&longest), longest);
        assert_eq!(quoting(&format!("{longest}é")).chars().count(), MESSAGE_CHARS_MAX);
    }
}
