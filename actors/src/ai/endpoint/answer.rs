//! What an endpoint answered, as far as it holds.

use serde::Deserialize;
use serde_json::error::Category;

use super::super::lead::{Finding, LeadType, cut};

/// How many opportunities of an answer are looked at.
const OPPORTUNITIES_MAX: usize = 16;

/// An answer has another form than the one asked for.
///
/// Says where it stopped making sense, and never what stands there: that may be what somebody wrote in a chat.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum NotUnderstood {
    #[error("{part} is {}, at line {line}, column {column}", problem(*.category))]
    Json { part: &'static str, category: Category, line: usize, column: usize },
    #[error("the completion has no choices")]
    NoChoice,
}

fn problem(category: Category) -> &'static str {
    match category {
        Category::Data => "JSON of another form",
        Category::Eof => "JSON that was cut off",
        Category::Io | Category::Syntax => "not JSON",
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Reply,
}

#[derive(Deserialize)]
struct Reply {
    content: String,
}

#[derive(Deserialize)]
struct Answer {
    opportunities: Vec<Opportunity>,
}

#[derive(Deserialize)]
struct Opportunity {
    #[serde(rename = "type")]
    lead: String,
    confidence: f64,
    reason: String,
}

/// Returns what a chat completion finds: each known lead type once, the surest first said.
///
/// # Errors
///
/// Fails if the completion, or the JSON within it, has another form than the one asked for.
pub(super) fn findings(body: &[u8]) -> Result<Vec<Finding>, NotUnderstood> {
    let completion: Completion =
        serde_json::from_slice(body).map_err(|error| not_understood("the completion", &error))?;
    let choice = completion.choices.into_iter().next().ok_or(NotUnderstood::NoChoice)?;
    let answer: Answer = serde_json::from_str(&choice.message.content)
        .map_err(|error| not_understood("the completion's content", &error))?;
    let claims = answer.opportunities.into_iter().take(OPPORTUNITIES_MAX).filter_map(|claim| finding(&claim));
    let mut findings: Vec<Finding> = Vec::new();
    for claim in claims {
        match findings.iter_mut().find(|finding| finding.lead == claim.lead) {
            Some(finding) if finding.confidence < claim.confidence => *finding = claim,
            Some(_) => {}
            None => findings.push(claim),
        }
    }
    Ok(findings)
}

fn not_understood(part: &'static str, error: &serde_json::Error) -> NotUnderstood {
    let (category, line, column) = (error.classify(), error.line(), error.column());
    NotUnderstood::Json { part, category, line, column }
}

/// Returns what an opportunity comes to; nothing if its type is unknown, or it has no reason.
fn finding(claim: &Opportunity) -> Option<Finding> {
    let lead = LeadType::from_word(&claim.lead)?;
    let reason = cut(&claim.reason);
    let holds = claim.confidence.is_finite() && !reason.is_empty();
    holds.then(|| Finding { lead, confidence: claim.confidence.clamp(0.0, 1.0), reason })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::lead::{Finding, LeadType, REASON_CHARS_MAX};
    use super::{NotUnderstood, OPPORTUNITIES_MAX, findings};

    fn completion(content: &str) -> Vec<u8> {
        json!({ "choices": [{ "message": { "role": "assistant", "content": content } }] })
            .to_string()
            .into_bytes()
    }

    fn found(opportunities: &Value) -> Result<Vec<Finding>, NotUnderstood> {
        findings(&completion(&json!({ "opportunities": opportunities }).to_string()))
    }

    fn claim(lead: &str, confidence: f64) -> Value {
        json!({ "type": lead, "confidence": confidence, "reason": "We need people." })
    }

    #[test]
    fn unknown_lead_types_are_dropped_and_known_ones_kept_once() {
        let answer = json!([
            claim("recruiting", 0.5),
            claim("refund'); DROP TABLE ai_findings; --", 1.0),
            claim("RECRUITING", 1.0),
            claim("recruiting", 0.7),
            claim("recruiting", 0.6),
        ]);
        let reason = "We need people.".to_owned();
        let expected = Finding { lead: LeadType::Recruiting, confidence: 0.7, reason };
        assert_eq!(found(&answer).unwrap(), [expected]);
        assert!(found(&json!([])).unwrap().is_empty());
    }

    #[test]
    fn a_confidence_is_brought_within_its_bounds() {
        let confidences = found(&json!([claim("recruiting", 95.0), claim("bench", -3.0)])).unwrap();
        assert_eq!(confidences.iter().map(|finding| finding.confidence).collect::<Vec<_>>(), [1.0, 0.0]);
    }

    #[test]
    fn a_reason_is_cut_and_one_is_needed() {
        let reason = |reason: &str| json!([{ "type": "bench", "confidence": 1, "reason": reason }]);
        let long = found(&reason(&"word ".repeat(10_000))).unwrap();
        assert_eq!(long[0].reason.chars().count(), REASON_CHARS_MAX);
        assert_eq!(found(&reason("a\u{0}\u{1b}[31mb")).unwrap()[0].reason, "a [31mb");
        assert!(found(&reason(" \n ")).unwrap().is_empty());
    }

    #[test]
    fn only_so_many_opportunities_are_looked_at() {
        let mut many = vec![claim("nothing", 1.0); OPPORTUNITIES_MAX];
        many.push(claim("bench", 1.0));
        assert!(found(&json!(many)).unwrap().is_empty());
    }

    #[test]
    fn what_has_another_form_is_refused_and_not_shown() {
        let bodies = [
            b"".to_vec(),
            b"<html>s3cret</html>".to_vec(),
            b"\"s3cret\"".to_vec(),
            br#"{"choices": []}"#.to_vec(),
            br#"{"choices": [{"message": {"content": null}}], "s3cret": 1}"#.to_vec(),
            completion(r#"{"opportunities": [{"type": "bench", "confidence": 0.9, "reason": "s3cret"#),
            completion("I think that s3cret is a lead."),
            completion(r#"{"opportunities": "s3cret"}"#),
            completion(r#"{"opportunities": [{"type": "bench", "confidence": "s3cret", "reason": "x"}]}"#),
            completion(r#"{"opportunities": [{"type": "bench", "confidence": NaN, "reason": "s3cret"}]}"#),
            completion(r#"{"opportunities": [{"type": "bench", "confidence": 1e999, "reason": "s3cret"}]}"#),
            completion(r#"{"opportunities": [{"type": ["s3cret"], "confidence": 1, "reason": "x"}]}"#),
            completion(&"[".repeat(100_000)),
        ];
        for body in bodies {
            let error = findings(&body).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
