//! What a configuration may say about achievements.

use serde::{Deserialize, Serialize};

/// The section `[achievements]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether the module runs. Default true.
    pub enabled: bool,
    /// How much of a yearly salary a recruiter gets as points for a placement. Default 1; 0 to 100.
    pub commission_percent: Percent,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, commission_percent: Percent::default() }
    }
}

/// A share from 0 to 100 percent. Default 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(f64);

/// A share is not between 0 and 100 percent.
#[derive(Debug, thiserror::Error)]
#[error("achievements.commission_percent is {0}, allowed are 0 to 100")]
pub struct PercentOutOfRange(f64);

impl Default for Percent {
    fn default() -> Self {
        Self(1.0)
    }
}

impl TryFrom<f64> for Percent {
    type Error = PercentOutOfRange;

    fn try_from(percent: f64) -> Result<Self, PercentOutOfRange> {
        if (0.0..=100.0).contains(&percent) { Ok(Self(percent)) } else { Err(PercentOutOfRange(percent)) }
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl Percent {
    /// Returns this share of `whole`, rounded to the nearest whole number.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "salaries are far below 2^53, and a share of an integer is no larger than it"
    )]
    pub fn of(self, whole: i64) -> i64 {
        (whole as f64 * self.0 / 100.0).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Percent, Settings};
    use crate::settings::read;

    #[test]
    fn every_key_has_a_default_and_is_written_out() {
        let written = serde_json::to_value(read::<Settings>(json!({})).unwrap()).unwrap();
        assert_eq!(written, json!({ "enabled": true, "commission_percent": 1.0 }));
    }

    #[test]
    fn a_commission_out_of_bounds_is_refused_by_name() {
        for bound in [0.0, 100.0] {
            assert!(read::<Settings>(json!({ "commission_percent": bound })).is_ok());
        }
        for wrong in [-0.1, 100.1] {
            let error = read::<Settings>(json!({ "commission_percent": wrong })).unwrap_err();
            assert_eq!(error, format!("achievements.commission_percent is {wrong}, allowed are 0 to 100"));
        }
        assert!(Percent::try_from(f64::NAN).is_err());
    }

    #[test]
    fn a_share_is_rounded_to_the_nearest_whole_number() {
        let share = |percent: f64, whole| Percent::try_from(percent).unwrap().of(whole);
        assert_eq!([share(1.0, 85_000), share(2.5, 85_010), share(0.0, 85_000)], [850, 2_125, 0]);
        assert_eq!([share(1.0, 49), share(1.0, 50), share(100.0, i64::MAX)], [0, 1, i64::MAX]);
    }
}
