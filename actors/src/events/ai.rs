//! Events of conversations and of the opportunities found in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use uuid::Uuid;

use super::{Example, example_id};

/// A conversation came to its end and can be read as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEnded {
    /// The conversation.
    pub conversation_id: Uuid,
    /// Who held it.
    pub user_id: Uuid,
}

impl Event for ConversationEnded {
    const TYPE: &'static str = "conversation.ended";
}

impl Example for ConversationEnded {
    fn example() -> Self {
        Self { conversation_id: example_id(61), user_id: example_id(11) }
    }
}

/// Somebody may want another of our services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrossPollinationOpportunity {
    /// Who may want it.
    pub user_id: Uuid,
    /// The service, such as `recruiting`, `bench` or `training`.
    pub lead_type: String,
    /// Where it was found, such as `ai_conversation`.
    pub source: String,
    /// How sure the finder is, 0 to 1.
    pub confidence: f64,
}

impl Event for CrossPollinationOpportunity {
    const TYPE: &'static str = "cross_pollination.opportunity";
}

impl Example for CrossPollinationOpportunity {
    fn example() -> Self {
        Self {
            user_id: example_id(11),
            lead_type: "recruiting".to_owned(),
            source: "ai_conversation".to_owned(),
            confidence: 0.85,
        }
    }
}
