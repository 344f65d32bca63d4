//! `catalogue check`: whether this build still reads what earlier ones stored.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::compatibility::breaks;
use super::export::{Document, EventSchema, document, exported};
use crate::catalogue::TypeInfo;
use crate::cli::output::Table;
use crate::cli::{CliError, Session};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// What an earlier build wrote by `catalogue export --format json-schema`
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    /// Whether the file says what this build would.
    up_to_date: bool,
    breaks: Vec<Finding>,
}

/// Something that would make stored events unreadable.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(rename = "type")]
    event_type: String,
    /// Where in the event, such as `payload.userId`.
    path: String,
    problem: String,
}

pub(super) fn run(session: &Session, args: &CheckArgs) -> Result<(), CliError> {
    let old = read(&args.file)?;
    let new = document(session.parts().name, &exported(session)?);
    let catalogue = session.catalogue()?;
    let mut findings = Vec::new();
    for (event_type, was) in &old.types {
        let is = new.types.get(event_type).zip(catalogue.get(event_type));
        findings.extend(of_type(was, is).into_iter().map(|(path, problem)| Finding {
            event_type: event_type.clone(),
            path,
            problem,
        }));
    }
    let report = Report { ok: findings.is_empty(), up_to_date: old.types == new.types, breaks: findings };
    session.output().one(&report, |out| {
        if report.ok {
            return writeln!(
                out,
                "{} event types, and whatever is stored of them can be read",
                old.types.len()
            );
        }
        let table = Table::new(["type", "where", "problem"]).with_whole_last_column();
        let table = report.breaks.iter().fold(table, |table, finding| {
            table.row([finding.event_type.clone(), finding.path.clone(), finding.problem.clone()])
        });
        writeln!(out, "{table}")
    })?;
    if !report.ok {
        return Err(CliError::Failed(
            "stored events would become unreadable; undo the change, or raise SCHEMA_VERSION and upcast"
                .to_owned(),
        ));
    }
    if !report.up_to_date {
        let name = session.parts().name;
        session.output().note(&format!(
            "the catalogue has changed; keep the change by `{name} catalogue export --format json-schema`"
        ));
    }
    Ok(())
}

fn read(file: &PathBuf) -> Result<Document, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        let file = file.display();
        CliError::Usage(format!("{file} was not made by `catalogue export --format json-schema`: {error}"))
    })
}

/// Returns what stored events of one type would fail on, as pairs of place and problem.
fn of_type(was: &EventSchema, is: Option<(&EventSchema, &TypeInfo)>) -> Vec<(String, String)> {
    let whole = |problem: String| vec![("type".to_owned(), problem)];
    let Some((is, info)) = is else {
        return whole("is no longer in the catalogue".to_owned());
    };
    if is.schema_version < was.schema_version {
        return whole(format!("went back from version {} to {}", was.schema_version, is.schema_version));
    }
    // From one version to the next the upcast may do anything; what it does is seen in an example.
    let mut found = Vec::new();
    if is.schema_version == was.schema_version {
        found = breaks(&was.properties.payload, &is.properties.payload);
    }
    let examples = was.examples.iter().filter_map(|event| event.get("payload"));
    if found.is_empty() {
        found.extend(examples.filter_map(|payload| unreadable(info, payload, was.schema_version)));
    }
    found
}

fn unreadable(info: &TypeInfo, payload: &Value, stored: u32) -> Option<(String, String)> {
    let error = info.check_stored(&payload.to_string(), stored).err()?;
    Some(("payload".to_owned(), format!("the example cannot be read any more: {error}")))
}
