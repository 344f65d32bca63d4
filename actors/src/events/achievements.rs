//! Events of the achievements.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use uuid::Uuid;

use super::{Example, example_id};

/// A user earned an achievement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AchievementEarned {
    /// Who earned it.
    pub user_id: Uuid,
    /// The achievement's name, such as `10_placements`.
    pub achievement_id: String,
}

impl Event for AchievementEarned {
    const TYPE: &'static str = "achievement.earned";
}

impl Example for AchievementEarned {
    fn example() -> Self {
        Self { user_id: example_id(31), achievement_id: "10_placements".to_owned() }
    }
}
