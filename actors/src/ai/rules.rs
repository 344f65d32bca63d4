//! Finds opportunities by rules that anybody can follow.
//!
//! ```text
//! text → sentences → clauses → words → phrases with weights → score → confidence
//! ```
//!
//! Each lead type has signs, some of which weaken the others of their clause, and
//! refusals, which count in the whole conversation; so does a sign that its clause
//! denies. A sentence's score is the sum of its phrases'; a conversation's is that
//! of its best sentence, half of what other sentences add, and all that they take away. The confidence is 1 − 2^−score:
//! a score of 1 is a coin's toss, each further point halves the doubt.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::lead::{Finding, LeadType, cut};
use lexicon::Lexicon;
use phrases::{Phrase, Reach};

mod classes;
mod lexicon;
mod phrases;
mod words;

/// How much what is denied counts against a lead, as a share of what it would have counted for it.
const DENIED: f64 = -0.8;

/// How much a sentence beside the best one adds.
const BESIDE: f64 = 0.5;

/// Returns what `texts` are an opportunity for, at `confidence_min` or above; each lead type once at most.
pub(super) fn findings<'a>(texts: impl IntoIterator<Item = &'a str>, confidence_min: f64) -> Vec<Finding> {
    let sentences: Vec<Sentence<'a>> =
        texts.into_iter().flat_map(words::sentences).map(Sentence::read).collect();
    let found = LeadType::ALL.into_iter().filter_map(|lead| conclude(lead, &sentences));
    found.filter(|finding| finding.confidence >= confidence_min).collect()
}

/// A sentence and what it says for and against each lead type.
struct Sentence<'a> {
    text: &'a str,
    scores: [f64; LeadType::ALL.len()],
}

impl<'a> Sentence<'a> {
    fn read(text: &'a str) -> Self {
        let clauses = words::clauses(text);
        let scores = LeadType::ALL.map(|lead| clauses.iter().map(|clause| score(lead, clause)).sum());
        Self { text, scores }
    }

    fn score(&self, lead: LeadType) -> f64 {
        self.scores[lead as usize]
    }
}

/// Sums up what all sentences say about a lead; nothing if none speaks for it.
fn conclude(lead: LeadType, sentences: &[Sentence<'_>]) -> Option<Finding> {
    let best = sentences.iter().max_by(|a, b| a.score(lead).total_cmp(&b.score(lead)))?;
    let (mut support, mut doubt) = (0.0, 0.0);
    for sentence in sentences {
        let score = sentence.score(lead);
        if score > 0.0 {
            support += score;
        } else {
            doubt += score;
        }
    }
    let total = best.score(lead) + (support - best.score(lead)) * BESIDE + doubt;
    let confidence = 1.0 - (-total).exp2();
    (confidence > 0.0).then(|| Finding { lead, confidence, reason: cut(best.text) })
}

/// What a phrase says in a clause.
struct Match {
    words: Vec<usize>,
    weight: f64,
    reach: Reach,
}

/// Adds up the phrases of a clause. Of phrases that share a word only the weightiest counts.
fn score(lead: LeadType, clause: &[String]) -> f64 {
    let mut matches: Vec<Match> =
        (0..clause.len()).flat_map(|start| matches_at(lead, clause, start)).collect();
    matches.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
    let mut taken = vec![false; clause.len()];
    let (mut here, mut everywhere) = (0.0, 0.0);
    for found in matches {
        if found.words.iter().any(|word| taken[*word]) {
            continue;
        }
        found.words.iter().for_each(|word| taken[*word] = true);
        match found.reach {
            Reach::Clause => here += found.weight,
            Reach::Conversation => everywhere += found.weight,
        }
    }
    // What weakens a clause leaves others alone.
    f64::max(here, 0.0) + everywhere
}

fn matches_at(lead: LeadType, clause: &[String], start: usize) -> impl Iterator<Item = Match> {
    let phrases = INDEX[lead as usize].get(clause[start].as_str()).into_iter().flatten();
    phrases.filter_map(move |phrase| {
        let words = phrase.matched(clause, start)?;
        if phrase.weight > 0.0 && words::is_denied(clause, &words) {
            return Some(Match { words, weight: phrase.weight * DENIED, reach: Reach::Conversation });
        }
        Some(Match { words, weight: phrase.weight, reach: phrase.reach })
    })
}

/// The phrases by the words that they may begin with.
type Index = HashMap<&'static str, Vec<Phrase>>;

/// One index for each lead type, in the order of [`LeadType::ALL`].
static INDEX: LazyLock<[Index; LeadType::ALL.len()]> = LazyLock::new(|| {
    LeadType::ALL.map(|lead| {
        let Lexicon { signs, refusals } = lexicon::of(lead);
        let signs = signs.iter().map(|(pattern, weight)| Phrase::parse(pattern, *weight, Reach::Clause));
        let refusals =
            refusals.iter().map(|(pattern, weight)| Phrase::parse(pattern, *weight, Reach::Conversation));
        let mut index = Index::new();
        for phrase in signs.chain(refusals) {
            for word in phrase.first_words() {
                index.entry(word).or_default().push(phrase.clone());
            }
        }
        index
    })
});

#[cfg(test)]
mod tests;
