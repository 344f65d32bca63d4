//! What the rules make of conversations; how often they are right is measured by `ai evaluate`.

use super::super::lead::LeadType;
use super::findings;
use super::lexicon::{self, Lexicon};
use super::phrases::{Phrase, Reach};
use super::words::{clauses, sentences};

fn leads(texts: &[&str]) -> Vec<&'static str> {
    findings(texts.iter().copied(), 0.6).iter().map(|finding| finding.lead.as_str()).collect()
}

#[test]
fn the_sentence_that_was_the_reason_is_named() {
    let texts = ["Hello!", "Nice weather. We are hiring two backend engineers. See you."];
    let found = findings(texts, 0.6);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].lead, LeadType::Recruiting);
    assert_eq!(found[0].reason, "We are hiring two backend engineers.");
    assert!((0.6..1.0).contains(&found[0].confidence));
}

#[test]
fn what_is_denied_is_no_opportunity() {
    for (said, lead) in [
        ("We are hiring developers.", "recruiting"),
        ("We need a contractor for three months.", "bench"),
        ("We need a training.", "training"),
    ] {
        assert_eq!(leads(&[said]), [lead], "{said}");
    }
    for denied in [
        "We are not hiring developers.",
        "We aren’t hiring developers.",
        "we dont need a contractor",
        "We don't need any training.",
        "Nobody needs training here.",
    ] {
        assert!(leads(&[denied]).is_empty(), "{denied}");
    }
}

#[test]
fn a_denial_ends_with_its_clause() {
    assert_eq!(leads(&["We don't want employees, but we need a contractor for six months."]), ["bench"]);
}

#[test]
fn what_is_taken_back_later_is_no_opportunity() {
    assert_eq!(leads(&["We need a Java developer."]), ["recruiting"]);
    let taken_back =
        ["We need a Java developer.", "Actually, we filled the position. We don't need a developer."];
    assert!(leads(&taken_back).is_empty());
}

#[test]
fn hints_add_up() {
    let hints = ["We are growing fast.", "Most jobs here are permanent.", "An opening every week."];
    assert!(hints.iter().all(|hint| leads(&[hint]).is_empty()));
    assert_eq!(leads(&hints), ["recruiting"]);
}

#[test]
fn a_slip_of_the_keyboard_is_forgiven_and_a_lookalike_is_not() {
    assert_eq!(clauses("develpers, contracter trianing")[0], ["developers"]);
    assert_eq!(clauses("contracter trianing recruting")[0], ["contractor", "training", "recruiting"]);
    assert_eq!(clauses("trailing coarse lean")[0], ["trailing", "coarse", "lean"]);
}

#[test]
fn words_are_spelled_out() {
    assert_eq!(
        clauses("I'm sure we've no devs; it's Bob's")[0],
        ["i", "am", "sure", "we", "have", "no", "developers"]
    );
    assert_eq!(clauses("can't")[0], ["can", "not"]);
    assert_eq!(clauses("won’t DON'T isnt")[0], ["will", "not", "do", "not", "is", "not"]);
    assert_eq!(clauses("Grüße, Ελένη but 美咲"), [["grüße"], ["ελένη"], ["美咲"]]);
}

#[test]
fn a_text_falls_into_sentences() {
    let text = "We use .NET 3.5. Really?! yes\n\nok";
    assert_eq!(sentences(text).collect::<Vec<_>>(), ["We use .NET 3.5.", "Really?!", "yes", "ok"]);
    for empty in ["", " \n ", "…", "?!"] {
        assert!(leads(&[empty]).is_empty());
    }
}

#[test]
fn a_very_long_text_is_read_in_good_time() {
    let long = "we need a looking for the no not ".repeat(25_000);
    assert!(findings([long.as_str()], 0.99).len() <= 3);
}

#[test]
fn every_phrase_can_be_found() {
    for lead in LeadType::ALL {
        let Lexicon { signs, refusals } = lexicon::of(lead);
        for (pattern, weight) in signs.iter().chain(refusals) {
            let phrase = Phrase::parse(pattern, *weight, Reach::Clause);
            let clause = clauses(&phrase.an_instance().join(" "));
            let found = clause.len() == 1 && phrase.matched(&clause[0], 0).is_some();
            assert!(found, "{pattern} is spelled otherwise in a text: {clause:?}");
        }
    }
}
