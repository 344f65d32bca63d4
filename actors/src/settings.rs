//! What a configuration may say about the modules: one section each.

use serde::{Deserialize, Serialize};

/// The settings of all modules; a section that is missing has its defaults.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `[academy]`
    pub academy: Switch,
    /// `[achievements]`
    #[cfg(feature = "achievements")]
    pub achievements: crate::achievements::Settings,
    /// `[achievements]`
    #[cfg(not(feature = "achievements"))]
    pub achievements: Switch,
    /// `[ai]`
    #[cfg(feature = "ai")]
    pub ai: crate::ai::Settings,
    /// `[ai]`
    #[cfg(not(feature = "ai"))]
    pub ai: Switch,
    /// `[ats]`
    pub ats: Switch,
    /// `[companions]`
    #[cfg(feature = "companions")]
    pub companions: crate::companions::Settings,
    /// `[companions]`
    #[cfg(not(feature = "companions"))]
    pub companions: Switch,
    /// `[crm]`
    pub crm: Switch,
    /// `[hr]`
    pub hr: Switch,
    /// `[notifications]`
    #[cfg(feature = "notifications")]
    pub notifications: crate::notifications::Settings,
    /// `[notifications]`
    #[cfg(not(feature = "notifications"))]
    pub notifications: Switch,
    /// `[trikala]`
    pub trikala: Switch,
}

/// The section of a module that can only be left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// Whether the module runs. Default true.
    pub enabled: bool,
}

impl Default for Switch {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Reads a section as a configuration's is read; the error as whoever wrote it sees it.
#[cfg(test)]
#[cfg_attr(
    not(any(feature = "achievements", feature = "ai", feature = "notifications")),
    allow(dead_code, reason = "all other sections are switches")
)]
pub(crate) fn read<S: serde::de::DeserializeOwned>(section: serde_json::Value) -> Result<S, String> {
    serde_json::from_value(section).map_err(|error| error.to_string())
}
