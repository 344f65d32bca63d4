//! AI: finds in conversations what else somebody may want from us.
//!
//! ```text
//! conversation.ended ─→ messages ─→ an endpoint, if one is configured ──┐
//!                                   └─ it fails, or there is none: rules ┴→ `ai_findings`
//!                                         └→ cross_pollination.opportunity, one for each
//! ```
//!
//! Reading and asking come before the transaction is opened: an endpoint that
//! thinks for seconds holds up nobody's writes.

use std::error::Error;
use std::time::Duration;

use stentor::{Context, Handle, HandlerError, Module, ModuleOptions, Subscriptions};
use uuid::Uuid;

use crate::events::{ConversationEnded, CrossPollinationOpportunity};
use conversation::{Author, Message};
use endpoint::Endpoint;
use lead::Finding;

mod conversation;
mod endpoint;
pub mod evaluate;
mod lead;
mod rules;
mod settings;

pub use conversation::{EndConversationError, end_conversation};
pub use lead::LeadType;
pub use settings::{ApiKey, BaseUrl, Confidence, InvalidSetting, Settings, TimeoutMs};

/// Where the opportunities come from, as their `source` says.
const SOURCE: &str = "ai_conversation";

/// Reads conversations that ended.
#[derive(Debug, Clone)]
pub struct Ai {
    endpoint: Option<Endpoint>,
    confidence_min: f64,
}

impl Ai {
    /// Makes the module that `settings` describe.
    ///
    /// An endpoint to which no connection could ever be made is logged and left out.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let endpoint = Endpoint::new(settings).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn Error, "no client for ai.endpoint; the rules decide");
            None
        });
        Self { endpoint, confidence_min: settings.confidence_min.into() }
    }

    /// Returns what `messages` are an opportunity for, and who says so.
    async fn findings(&self, conversation: Uuid, messages: &[Message]) -> (Finder, Vec<Finding>) {
        // Whatever an endpoint made of silence, nobody said it.
        let of_user = messages.iter().filter(|message| message.author == Author::User);
        let texts: Vec<&str> =
            of_user.map(|message| message.text.trim()).filter(|text| !text.is_empty()).collect();
        if let (Some(endpoint), false) = (&self.endpoint, texts.is_empty()) {
            match endpoint.findings(messages).await {
                Ok(mut findings) => {
                    findings.retain(|finding| finding.confidence >= self.confidence_min);
                    return (Finder::Endpoint, findings);
                }
                Err(error) => {
                    let error = &error as &dyn Error;
                    tracing::warn!(%conversation, error, "ai.endpoint did not help; the rules decide");
                }
            }
        }
        (Finder::Rules, rules::findings(texts, self.confidence_min))
    }
}

/// Who found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finder {
    Rules,
    Endpoint,
}

impl Finder {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Endpoint => "endpoint",
        }
    }
}

impl Module for Ai {
    const NAME: &'static str = "ai";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<ConversationEnded>();
    }

    /// Several workers, as they mostly wait for the endpoint; more time than it is ever given.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(4).timeout(TimeoutMs::MAX + Duration::from_secs(15))
    }
}

impl Handle<ConversationEnded> for Ai {
    async fn handle(&mut self, event: &ConversationEnded, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let Some(messages) = conversation::unread(cx, event).await? else {
            return Ok(());
        };
        let (finder, findings) = self.findings(event.conversation_id, &messages).await;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        if !conversation::mark_read(tx, event.conversation_id, at).await? {
            return Ok(());
        }
        for finding in &findings {
            conversation::record(tx, event.conversation_id, finding, finder, at).await?;
        }
        for finding in findings {
            cx.publish(CrossPollinationOpportunity {
                user_id: event.user_id,
                lead_type: finding.lead.as_str().to_owned(),
                source: SOURCE.to_owned(),
                confidence: finding.confidence,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
