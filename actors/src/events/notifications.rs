//! Events that ask for somebody to be told something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use uuid::Uuid;

use super::{Example, example_id};

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
