//! `ai evaluate`: how often the rules are right, measured on labelled messages.
//!
//! Precision is the share of what was found that is there; recall is the share
//! of what is there that was found. The rules were tuned on the part `train`
//! alone, so only the part `held_out` says what to expect of new messages.

use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use serde::{Deserialize, Serialize};
use stentor::cli::{CliError, Session, Table};

use super::lead::LeadType;
use super::rules;
use super::settings::Settings;

/// The messages that the rules are measured on, one JSON document a line.
const LABELLED: &str = include_str!("../../data/conversations.jsonl");

/// Returns the command `ai`, for [`stentor::cli::App::command`].
#[must_use]
pub fn command() -> clap::Command {
    Commands::augment_subcommands(clap::Command::new("ai"))
        .about("Measure how well opportunities are found in conversations")
        .subcommand_required(true)
        .arg_required_else_help(true)
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Print precision and recall of the rules, by lead type and overall
    Evaluate(EvaluateArgs),
}

#[derive(Debug, Args)]
struct EvaluateArgs {
    /// Measure on these messages instead: lines of {"part": "train" or "`held_out`", "leads": […], "text": "…"}
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Count what is found at this confidence or above [default: `ai.confidence_min`]
    #[arg(long, value_name = "0..1")]
    confidence_min: Option<f64>,
    /// Print the messages that were judged wrong, instead of figures
    #[arg(long)]
    mistakes: bool,
}

/// Runs the command `ai`.
///
/// # Errors
///
/// Fails if the file cannot be read, has a bad line or no message, or if standard output fails.
pub async fn run(matches: ArgMatches, session: Session) -> Result<(), CliError> {
    let command = Commands::from_arg_matches(&matches).map_err(|error| CliError::Usage(error.to_string()))?;
    let Commands::Evaluate(args) = command;
    let messages = match &args.file {
        Some(file) => {
            let name = file.display().to_string();
            let text = tokio::fs::read_to_string(file)
                .await
                .map_err(|error| CliError::Usage(format!("--file {name}: {error}")))?;
            read(&name, &text)?
        }
        None => read("the built-in messages", LABELLED)?,
    };
    let confidence_min = confidence_min(args.confidence_min, &session)?;
    let judged: Vec<Judged> = messages.into_iter().map(|message| message.judge(confidence_min)).collect();
    if args.mistakes {
        let mistakes: Vec<Judged> = judged.into_iter().filter(Judged::is_wrong).collect();
        return session.output().list(&mistakes, mistakes_table);
    }
    session.output().list(&figures(&judged), figures_table)
}

fn confidence_min(flag: Option<f64>, session: &Session) -> Result<f64, CliError> {
    /// The sections that matter here.
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Sections {
        ai: Settings,
    }
    match flag {
        Some(confidence) if (0.0..=1.0).contains(&confidence) => Ok(confidence),
        Some(wrong) => Err(CliError::Usage(format!("--confidence-min is {wrong}, allowed are 0 to 1"))),
        None => Ok(session.host_settings::<Sections>()?.ai.confidence_min.into()),
    }
}

/// Which part of the labelled messages one belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// The rules were tuned on it.
    Train,
    /// The rules were not tuned on it.
    HeldOut,
}

/// A message and what somebody who read it calls it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labelled {
    part: Part,
    leads: Vec<String>,
    text: String,
}

fn read(name: &str, lines: &str) -> Result<Vec<Labelled>, CliError> {
    let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line)| {
        let wrong = |problem: String| CliError::Usage(format!("{name}, line {}: {problem}", number + 1));
        let labelled: Labelled = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        match labelled.leads.iter().find(|lead| LeadType::from_word(lead).is_none()) {
            Some(unknown) => Err(wrong(format!("unknown lead type {unknown:?}"))),
            None => Ok(labelled),
        }
    };
    let messages: Vec<Labelled> = lines.map(read).collect::<Result<_, _>>()?;
    if messages.is_empty() {
        return Err(CliError::Usage(format!("{name}: there is no message in it to measure")));
    }
    Ok(messages)
}

impl Labelled {
    fn judge(self, confidence_min: f64) -> Judged {
        let found = rules::findings([self.text.as_str()], confidence_min);
        let found = found.iter().map(|finding| finding.lead.as_str().to_owned()).collect();
        Judged { part: self.part, expected: self.leads, found, text: self.text }
    }
}

/// A message, what is in it, and what the rules found.
#[derive(Debug, Serialize)]
struct Judged {
    part: Part,
    expected: Vec<String>,
    found: Vec<String>,
    text: String,
}

impl Judged {
    fn is_wrong(&self) -> bool {
        self.expected.len() != self.found.len() || self.expected.iter().any(|lead| !self.found.contains(lead))
    }
}

/// How often the rules were right about a lead type.
#[derive(Debug, Serialize)]
struct Figures {
    part: Part,
    /// A lead type, or `all`.
    lead_type: &'static str,
    messages: usize,
    expected: usize,
    found: usize,
    correct: usize,
    /// Null if nothing was found.
    precision: Option<f64>,
    /// Null if nothing was there to be found.
    recall: Option<f64>,
}

fn figures(judged: &[Judged]) -> Vec<Figures> {
    let of_part = |part| {
        let judged: Vec<&Judged> = judged.iter().filter(|judged| judged.part == part).collect();
        let each =
            LeadType::ALL.map(|lead| count(part, lead.as_str(), &judged, |word| word == lead.as_str()));
        let all = count(part, "all", &judged, |_| true);
        each.into_iter().chain([all])
    };
    [Part::Train, Part::HeldOut].into_iter().flat_map(of_part).collect()
}

fn count(part: Part, lead_type: &'static str, judged: &[&Judged], counts: impl Fn(&str) -> bool) -> Figures {
    let sum = |number: &dyn Fn(&Judged) -> usize| judged.iter().map(|judged| number(judged)).sum();
    let expected = sum(&|judged| judged.expected.iter().filter(|lead| counts(lead)).count());
    let found = sum(&|judged| judged.found.iter().filter(|lead| counts(lead)).count());
    let correct = sum(&|judged| {
        judged.found.iter().filter(|lead| counts(lead) && judged.expected.contains(lead)).count()
    });
    let (precision, recall) = (share(correct, found), share(correct, expected));
    Figures { part, lead_type, messages: judged.len(), expected, found, correct, precision, recall }
}

#[allow(clippy::cast_precision_loss, reason = "nobody labels 2^52 messages")]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn figures_table(figures: &[Figures]) -> Table {
    let columns = ["PART", "LEAD_TYPE", "MESSAGES", "EXPECTED", "FOUND", "CORRECT", "PRECISION", "RECALL"];
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
    figures.iter().fold(Table::new(columns), |table, row| {
        table.row([
            row.part.as_str().to_owned(),
            row.lead_type.to_owned(),
            row.messages.to_string(),
            row.expected.to_string(),
            row.found.to_string(),
            row.correct.to_string(),
            share(row.precision),
            share(row.recall),
        ])
    })
}

fn mistakes_table(mistakes: &[Judged]) -> Table {
    mistakes.iter().fold(Table::new(["PART", "EXPECTED", "FOUND", "TEXT"]), |table, row| {
        let [expected, found] = [&row.expected, &row.found].map(|leads| leads.join(", "));
        table.row([row.part.as_str().to_owned(), expected, found, row.text.clone()])
    })
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::HeldOut => "held_out",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Figures, Judged, LABELLED, Labelled, Part, figures, read};

    fn built_in() -> Vec<Labelled> {
        read("the built-in messages", LABELLED).unwrap()
    }

    fn overall(part: Part) -> Figures {
        let judged: Vec<Judged> = built_in().into_iter().map(|message| message.judge(0.6)).collect();
        let mut of_part = figures(&judged).into_iter().filter(|row| row.part == part);
        of_part.find(|row| row.lead_type == "all").unwrap()
    }

    #[test]
    fn the_labelled_messages_are_many_and_all_different() {
        let messages = built_in();
        let distinct: HashSet<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(distinct.len(), messages.len());
        let of = |part| messages.iter().filter(|message| message.part == part).count();
        assert!(of(Part::Train) >= 200 && of(Part::HeldOut) >= 150, "{}", messages.len());
        let none = messages.iter().filter(|message| message.leads.is_empty()).count();
        assert!(none * 3 > messages.len(), "{none} messages are no opportunity");
    }

    /// The floor is what was reached once, rounded down: whoever changes the rules may not fall below it.
    #[test]
    fn the_rules_hold_on_messages_that_they_were_not_tuned_on() {
        let Figures { precision, recall, .. } = overall(Part::HeldOut);
        let (precision, recall) = (precision.unwrap(), recall.unwrap());
        assert!(precision >= 0.85 && recall >= 0.70, "precision {precision:.3}, recall {recall:.3}");
    }

    #[test]
    fn figures_count_each_lead_of_a_message() {
        let judged = |expected: &[&str], found: &[&str]| {
            let [expected, found] =
                [expected, found].map(|leads| leads.iter().map(ToString::to_string).collect());
            Judged { part: Part::Train, expected, found, text: String::new() }
        };
        let judged = [judged(&["bench", "training"], &["bench"]), judged(&[], &["training"])];
        let rows = figures(&judged);
        let row =
            |lead: &str| rows.iter().find(|row| row.part == Part::Train && row.lead_type == lead).unwrap();
        assert_eq!((row("all").precision, row("all").recall), (Some(0.5), Some(0.5)));
        assert_eq!((row("bench").precision, row("bench").recall), (Some(1.0), Some(1.0)));
        assert_eq!((row("training").precision, row("training").recall), (Some(0.0), Some(0.0)));
        assert_eq!((row("recruiting").precision, row("recruiting").recall), (None, None));
        assert!(judged.iter().all(Judged::is_wrong));
    }

    #[test]
    fn a_file_without_a_message_is_refused() {
        for nothing in ["", "\n  \n"] {
            let error = read("a file", nothing).unwrap_err();
            assert!(error.to_string().starts_with("a file: there is no message"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = r#"{"part": "train", "leads": ["bench"], "text": "Hi"}"#;
        for bad in [
            "{}",
            "bench",
            r#"{"part": "train", "leads": ["temps"], "text": "Hi"}"#,
            r#"{"part": "test", "leads": [], "text": "Hi"}"#,
        ] {
            let error = read("a file", &format!("{good}\n\n{bad}\n")).unwrap_err();
            assert!(error.to_string().starts_with("a file, line 3: "), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
