//! What a conversation may be an opportunity for, and what was found in it.

/// A service of ours that somebody may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeadType {
    /// People to be hired for good, or help with hiring.
    Recruiting,
    /// People for a limited time or at once: contractors, freelancers, consultants from the bench.
    Bench,
    /// Courses, workshops and coaching, for oneself or for one's people.
    Training,
}

impl LeadType {
    /// All lead types.
    pub const ALL: [Self; 3] = [Self::Recruiting, Self::Bench, Self::Training];

    /// Returns the word under which it is published and stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recruiting => "recruiting",
            Self::Bench => "bench",
            Self::Training => "training",
        }
    }

    /// Returns the lead type that is stored under `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lead| lead.as_str() == word)
    }
}

/// The longest reason that is kept, in characters.
pub(super) const REASON_CHARS_MAX: usize = 300;

/// An opportunity that was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) lead: LeadType,
    /// How sure the finder is, 0 to 1.
    pub(super) confidence: f64,
    /// The sentence that was the reason, cut to [`REASON_CHARS_MAX`].
    pub(super) reason: String,
}

/// Cuts a reason to [`REASON_CHARS_MAX`] characters, on one line.
pub(super) fn cut(reason: &str) -> String {
    let mut line = String::new();
    for word in reason.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    crate::text::shortened(line.chars(), REASON_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::{LeadType, REASON_CHARS_MAX, cut};

    #[test]
    fn a_lead_type_is_found_by_its_own_word_alone() {
        for lead in LeadType::ALL {
            assert_eq!(LeadType::from_word(lead.as_str()), Some(lead));
        }
        assert_eq!(LeadType::from_word("Recruiting"), None);
    }

    #[test]
    fn a_reason_is_one_line_and_not_too_long() {
        assert_eq!(cut(" We\nneed\u{1b}[2J   help "), "We need [2J help");
        let long = cut(&"é ".repeat(REASON_CHARS_MAX));
        assert_eq!(long.chars().count(), REASON_CHARS_MAX);
        assert!(long.ends_with('…'));
    }
}
