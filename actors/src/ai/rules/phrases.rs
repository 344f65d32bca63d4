//! Phrases: words in a row, classes of words, and gaps.
//!
//! `@need .. @role|hands` is one of the words of the class `need`, then at most
//! [`GAP_MAX`] words of any kind, then one of the class `role`, or `hands`.

use super::classes;

/// How many words a gap may span.
const GAP_MAX: usize = 5;

/// A phrase and what it says for a lead, or against it if it is negative.
#[derive(Debug, Clone)]
pub(super) struct Phrase {
    elements: Vec<Element>,
    pub(super) weight: f64,
    pub(super) reach: Reach,
}

/// How far what a phrase says is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Clause,
    Conversation,
}

#[derive(Debug, Clone)]
enum Element {
    /// One of these, each of which may be several words.
    OneOf(Vec<Vec<&'static str>>),
    Gap,
}

impl Phrase {
    /// Reads a phrase. A class that does not exist matches nothing, which a test rules out.
    pub(super) fn parse(pattern: &'static str, weight: f64, reach: Reach) -> Self {
        let element = |word: &'static str| match word {
            ".." => Element::Gap,
            choices => Element::OneOf(choices.split('|').flat_map(choice).collect()),
        };
        Self { elements: pattern.split_whitespace().map(element).collect(), weight, reach }
    }

    /// Returns the words that the phrase may begin with.
    pub(super) fn first_words(&self) -> Vec<&'static str> {
        let Some(Element::OneOf(choices)) = self.elements.first() else { return Vec::new() };
        let mut words: Vec<_> = choices.iter().filter_map(|choice| choice.first().copied()).collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    /// Returns words that are the phrase.
    #[cfg(test)]
    pub(super) fn an_instance(&self) -> Vec<&'static str> {
        let words = |element: &Element| match element {
            Element::OneOf(choices) => choices.first().cloned().unwrap_or_default(),
            Element::Gap => Vec::new(),
        };
        self.elements.iter().flat_map(words).collect()
    }

    /// Returns which words of `clause` are the phrase, if it begins at `start`; those in gaps are none of it.
    pub(super) fn matched(&self, clause: &[String], start: usize) -> Option<Vec<usize>> {
        let mut words = Vec::new();
        matched(&self.elements, clause, start, &mut words).then_some(words)
    }
}

/// Returns what a word of a pattern stands for: itself, or the members of a class.
fn choice(word: &'static str) -> Vec<Vec<&'static str>> {
    let Some(class) = word.strip_prefix('@') else { return vec![vec![word]] };
    let members = classes::members(class).unwrap_or_default().split(',');
    members.map(|member| member.split_whitespace().collect()).collect()
}

fn matched(elements: &[Element], clause: &[String], at: usize, words: &mut Vec<usize>) -> bool {
    match elements {
        [] => true,
        [Element::Gap, rest @ ..] => {
            (0..=GAP_MAX).any(|gap| at + gap < clause.len() && matched(rest, clause, at + gap, words))
        }
        [Element::OneOf(choices), rest @ ..] => choices.iter().any(|choice| {
            let (before, end) = (words.len(), at + choice.len());
            let here = clause.get(at..end).is_some_and(|part| part == choice.as_slice());
            if !here {
                return false;
            }
            words.extend(at..end);
            let whole = matched(rest, clause, end, words);
            if !whole {
                words.truncate(before);
            }
            whole
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::clauses;
    use super::{GAP_MAX, Phrase, Reach};

    fn matched(pattern: &'static str, text: &str) -> Option<Vec<usize>> {
        let clause = clauses(text).remove(0);
        (0..clause.len()).find_map(|start| Phrase::parse(pattern, 1.0, Reach::Clause).matched(&clause, start))
    }

    #[test]
    fn words_follow_each_other_and_gaps_end() {
        assert_eq!(matched("sign up", "please sign me up"), None);
        assert_eq!(matched("sign .. up", "please sign me up"), Some(vec![1, 3]));
        assert_eq!(matched("sign|cheer up", "please cheer up"), Some(vec![1, 2]));
        let far = "x ".repeat(GAP_MAX + 1);
        assert_eq!(matched("sign .. up", &format!("sign {far} up")), None);
    }

    #[test]
    fn a_class_may_hold_several_words() {
        assert_eq!(matched("@need .. chess", "we are looking for good chess"), Some(vec![2, 3, 5]));
    }
}
