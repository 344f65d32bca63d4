//! What an event is: a typed, immutable fact with a stable name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest event type or module name, in bytes.
pub const NAME_BYTES_MAX: usize = 100;

/// An immutable fact that a module publishes and that other modules react to.
///
/// The stored form is the JSON that `serde` makes of the value, so a change to
/// the type is a change to a stored format: raise [`Event::SCHEMA_VERSION`] and
/// teach [`Event::upcast`] to read what is already there.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use stentor::Event;
/// use uuid::Uuid;
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(rename_all = "camelCase")]
/// struct CourseGraduated {
///     user_id: Uuid,
///     course_id: Uuid,
///     final_score: f64,
/// }
///
/// impl Event for CourseGraduated {
///     const TYPE: &'static str = "course.graduated";
/// }
///
/// # async fn publish(bus: stentor::Bus, event: CourseGraduated) -> Result<(), stentor::PublishError> {
/// bus.publish(event).await?;
/// # Ok(())
/// # }
/// ```
///
/// A name that breaks the convention does not compile:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use stentor::{Bus, Event};
/// # #[derive(Serialize, Deserialize)]
/// struct CourseGraduated {}
///
/// impl Event for CourseGraduated {
///     const TYPE: &'static str = "CourseGraduated";
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::builder().database("sqlite://school.db").start().await?;
/// bus.publish(CourseGraduated {}).await?;
/// # Ok(())
/// # }
/// ```
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name under which the event is stored: `module.action_past_tense`.
    ///
    /// Checked when the type is first used with a bus, at compile time: two
    /// words of `a-z`, `0-9` and `_`, each starting with a letter, joined by
    /// one dot, [`NAME_BYTES_MAX`] bytes at most.
    const TYPE: &'static str;

    /// The version of the payload's shape that this build writes. Default 1.
    const SCHEMA_VERSION: u32 = 1;

    /// Whether a module is meant to react. Default true.
    ///
    /// With false, the event is for the audit trail alone, and `doctor` does not warn that nobody
    /// subscribes to it. Nothing else depends on it: whoever wants the event may subscribe.
    const EXPECTS_SUBSCRIBER: bool = true;

    /// Returns the ordering key, if events of this type have one.
    ///
    /// Modules that are ordered by key see the events of one key in publish
    /// order. The default is no key, and no order.
    fn ordering_key(&self) -> Option<String> {
        None
    }

    /// Rewrites a stored payload of an older version into the next version up.
    ///
    /// Called once for each version between the stored one and
    /// [`Event::SCHEMA_VERSION`], so each step knows just its neighbour.
    ///
    /// # Errors
    ///
    /// Returns [`UpcastError`] when there is no way up from `version`; the
    /// delivery then becomes a dead letter that says so.
    fn upcast(version: u32, payload: Value) -> Result<Value, UpcastError> {
        drop(payload);
        Err(UpcastError::new(format!("{} has no upcast from version {version}", Self::TYPE)))
    }
}

/// A stored payload could not be brought up to the version that this build reads.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct UpcastError {
    reason: String,
}

impl UpcastError {
    /// Makes an error that carries `reason` into the dead letter.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Returns whether `name` has the form `module.action_past_tense`.
///
/// The tense is the author's care; the form is what the stores, the command
/// line and the routes rely on.
#[must_use]
pub const fn is_event_type(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
        return false;
    }
    let (mut index, mut dots, mut at_word_start) = (0, 0, true);
    while index < bytes.len() {
        let byte = bytes[index];
        if at_word_start && !byte.is_ascii_lowercase() {
            return false;
        }
        if byte == b'.' {
            dots += 1;
        } else if !is_name_byte(byte) {
            return false;
        }
        at_word_start = byte == b'.';
        index += 1;
    }
    dots == 1 && !at_word_start
}

/// Returns whether `name` may name a module: one word of `a-z`, `0-9`, `_` and `-`.
#[must_use]
pub const fn is_module_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut index = 1;
    while index < bytes.len() {
        if !is_name_byte(bytes[index]) && bytes[index] != b'-' {
            return false;
        }
        index += 1;
    }
    true
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// Fails the build when `E::TYPE` breaks the naming convention.
pub(crate) const fn assert_event_type<E: Event>() {
    const {
        assert!(
            is_event_type(E::TYPE),
            "Event::TYPE must read module.action_past_tense: two lower-case words joined by one dot"
        );
        assert!(
            E::SCHEMA_VERSION > 0 && E::SCHEMA_VERSION <= i32::MAX as u32,
            "Event::SCHEMA_VERSION counts from 1"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{is_event_type, is_module_name};

    #[test]
    fn the_seed_s_good_names_pass_and_its_bad_ones_do_not() {
        for good in ["course.graduated", "cross_pollination.opportunity", "a1.b2"] {
            assert!(is_event_type(good), "{good}");
        }
        for bad in [
            "graduation",
            "place_candidate",
            "Course.graduated",
            "course.",
            ".graduated",
            "course..graduated",
            "course.graduated.twice",
            "course graduated",
            "1a.b",
            "a.1b",
            "",
        ] {
            assert!(!is_event_type(bad), "{bad}");
        }
        assert!(!is_event_type(&format!("a.{}", "b".repeat(99))));
    }

    #[test]
    fn module_names_are_one_word() {
        assert!(is_module_name("ats") && is_module_name("cross-sell_2"));
        assert!(!is_module_name("") && !is_module_name("a.b") && !is_module_name("Ats"));
    }
}
