//! Events of productivity: workflows and goals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use uuid::Uuid;

use super::{Example, example_id};

/// A workflow reached its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowCompleted {
    /// The workflow.
    pub workflow_id: Uuid,
    /// Whom it was about.
    pub user_id: Uuid,
}

impl Event for WorkflowCompleted {
    const TYPE: &'static str = "workflow.completed";
}

impl Example for WorkflowCompleted {
    fn example() -> Self {
        Self { workflow_id: example_id(71), user_id: example_id(11) }
    }
}

/// A pod reached a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoalAchieved {
    /// The goal.
    pub goal_id: Uuid,
    /// The pod.
    pub pod_id: Uuid,
    /// What was reached, in the goal's own unit.
    pub value: f64,
}

impl Event for GoalAchieved {
    const TYPE: &'static str = "goal.achieved";
}

impl Example for GoalAchieved {
    fn example() -> Self {
        Self { goal_id: example_id(72), pod_id: example_id(73), value: 10.0 }
    }
}
