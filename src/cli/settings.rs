//! The settings of one invocation: flag > environment > `stentor.toml` > default.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use config::{Config, ConfigError, Environment, File, FileFormat, Source};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{CliError, Format, when};

/// The file that is read if it is there and no other is named.
const DEFAULT_FILE: &str = "stentor.toml";

/// Every key that a configuration may set.
const KEYS: [&str; 10] = [
    "database.url",
    "database.handler_connections",
    "database.read_connections",
    "bus.lease",
    "bus.poll_interval",
    "bus.payload_bytes_max",
    "bus.threads",
    "serve.drain",
    "output.format",
    "log.level",
];

/// The flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Globals {
    /// Read settings from this file [default: stentor.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read environment variables from this file; those of the process win
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Use this database: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/NAME` [default: `sqlite://stentor.db`]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Write data in this form [default: table]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Say more; twice says everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

/// The settings of one invocation.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) database: DatabaseSection,
    pub(super) bus: BusSection,
    /// How long a service that stops works off what it holds.
    pub(super) drain: Duration,
    pub(super) format: Format,
    /// The level of the logs, if somebody set one.
    pub(super) log_level: Option<String>,
    pub(super) quiet: bool,
    /// The database of the flag alone.
    pub(super) database_flag: Option<String>,
    /// All sources as one, for the sections of the host.
    all: Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Document {
    database: DatabaseSection,
    bus: BusSection,
    serve: ServeSection,
    output: OutputSection,
    log: LogSection,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct DatabaseSection {
    pub(super) url: String,
    pub(super) handler_connections: Option<u32>,
    pub(super) read_connections: Option<u32>,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self { url: "sqlite://stentor.db".to_owned(), handler_connections: None, read_connections: None }
    }
}

/// `[bus]`: absent keys leave the bus's own defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BusSection {
    #[serde(deserialize_with = "length_of_time")]
    pub(super) lease: Option<Duration>,
    #[serde(deserialize_with = "length_of_time")]
    pub(super) poll_interval: Option<Duration>,
    pub(super) payload_bytes_max: Option<usize>,
    pub(super) threads: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ServeSection {
    #[serde(deserialize_with = "length_of_time")]
    drain: Option<Duration>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct OutputSection {
    format: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LogSection {
    level: Option<String>,
}

fn length_of_time<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    text.map(|text| when::duration(&text)).transpose().map_err(serde::de::Error::custom)
}

impl Settings {
    /// Reads all sources. `host_keys` may be set besides the bus's own.
    pub(super) fn load(globals: Globals, host_keys: &[String]) -> Result<Self, CliError> {
        let environment = environment(globals.env_file.as_deref())?;
        let all = read(globals.config.as_deref(), environment, globals.database.as_deref(), host_keys)?;
        let document: Document = parse(&all)?;
        let format = match (globals.output, document.output.format) {
            (Some(format), _) => format,
            (None, Some(name)) => clap::ValueEnum::from_str(&name, false).map_err(|_| {
                CliError::Usage(format!("output.format is {name:?}; use table, json or jsonl"))
            })?,
            (None, None) => Format::default(),
        };
        let flag_level = match (globals.verbose, globals.quiet) {
            (0, false) => None,
            (0, true) => Some("error"),
            (1, _) => Some("info"),
            _ => Some("debug"),
        };
        Ok(Self {
            database: document.database,
            bus: document.bus,
            drain: document.serve.drain.unwrap_or(Duration::from_secs(30)),
            format,
            log_level: flag_level.map(str::to_owned).or(document.log.level),
            quiet: globals.quiet,
            database_flag: globals.database,
            all,
        })
    }

    /// Returns what the host wants to know.
    pub(super) fn of_host<S: DeserializeOwned>(&self) -> Result<S, CliError> {
        parse(&self.all)
    }
}

/// Returns the keys of the host's settings, as `section.key`.
pub(super) fn keys_of(defaults: &impl Serialize) -> Vec<String> {
    let Ok(Value::Object(sections)) = serde_json::to_value(defaults) else { return Vec::new() };
    let keys = |(section, content): (String, Value)| match content {
        Value::Object(keys) => keys.into_iter().map(|(key, _)| format!("{section}.{key}")).collect(),
        _ => vec![section],
    };
    sections.into_iter().flat_map(keys).collect()
}

/// Returns the environment: the process's own variables over those of a file.
fn environment(file: Option<&Path>) -> Result<HashMap<String, String>, CliError> {
    let mut variables = HashMap::new();
    if let Some(path) = file {
        let wrong = |error| CliError::Usage(format!("--env-file {}: {error}", path.display()));
        for pair in dotenvy::from_path_iter(path).map_err(wrong)? {
            let (name, value) = pair.map_err(wrong)?;
            variables.insert(name, value);
        }
    }
    // A variable that is not text is none of ours.
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.extend(own);
    Ok(variables)
}

fn read(
    file: Option<&Path>,
    mut environment: HashMap<String, String>,
    database: Option<&str>,
    host_keys: &[String],
) -> Result<Config, CliError> {
    let named =
        File::from(file.unwrap_or(Path::new(DEFAULT_FILE))).format(FileFormat::Toml).required(file.is_some());
    let url = environment.get("DATABASE_URL").filter(|url| !url.is_empty()).cloned();
    environment.retain(|name, _| name.starts_with("STENTOR_") && name.contains("__"));
    let variables = Environment::with_prefix("STENTOR")
        .prefix_separator("_")
        .separator("__")
        .ignore_empty(true)
        .source(Some(environment));
    let file_alone = Config::builder().add_source(named).build().map_err(wrong)?;
    let file_name = file.unwrap_or(Path::new(DEFAULT_FILE)).display().to_string();
    refuse_unknown(&file_alone, host_keys, &file_name)?;
    let variables_alone = Config::builder().add_source(variables.clone()).build().map_err(wrong)?;
    refuse_unknown(&variables_alone, host_keys, "the environment (STENTOR_SECTION__KEY)")?;
    let mut all = Config::builder().add_source(file_alone);
    if let Some(url) = url {
        all = all.set_override("database.url", url).map_err(wrong)?;
    }
    // The more specific variable wins over DATABASE_URL, and the flag over both.
    let specific = variables_alone.get_string("database.url").ok();
    for url in [specific, database.map(str::to_owned)].into_iter().flatten() {
        all = all.set_override("database.url", url).map_err(wrong)?;
    }
    all.add_source(variables).build().map_err(wrong)
}

#[allow(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn wrong(error: ConfigError) -> CliError {
    CliError::Usage(format!("configuration: {error}"))
}

fn parse<S: DeserializeOwned>(all: &Config) -> Result<S, CliError> {
    all.clone().try_deserialize().map_err(wrong)
}

fn refuse_unknown(config: &Config, host_keys: &[String], place: &str) -> Result<(), CliError> {
    let known: Vec<&str> = KEYS.into_iter().chain(host_keys.iter().map(String::as_str)).collect();
    let sections = config.collect().map_err(wrong)?;
    for (section, value) in sections {
        let names = match value.into_table() {
            Ok(table) => table.into_keys().map(|key| format!("{section}.{key}")).collect(),
            Err(_) => vec![section],
        };
        if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let known = known.join(", ");
            return Err(CliError::Usage(format!("unknown key {unknown:?} in {place}; known are {known}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use super::{CliError, Document, parse, read};

    fn read_with(file: &str, variables: &[(&str, &str)], flag: Option<&str>) -> Result<Document, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stentor.toml");
        fs::write(&path, file).unwrap();
        let variables: HashMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let all = read(Some(&path), variables, flag, &["host.colour".to_owned()])?;
        parse(&all)
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = "[database]\nurl = 'sqlite://file.db'\n[bus]\nlease = '20s'\nthreads = 3";
        let general = ("DATABASE_URL", "sqlite://general.db");
        let specific = ("STENTOR_DATABASE__URL", "sqlite://specific.db");
        let url = |variables: &[_], flag| read_with(file, variables, flag).unwrap().database.url;
        assert_eq!(url(&[], None), "sqlite://file.db");
        assert_eq!(url(&[general], None), "sqlite://general.db");
        assert_eq!(url(&[general, specific], None), "sqlite://specific.db");
        assert_eq!(url(&[general, specific], Some("sqlite://flag.db")), "sqlite://flag.db");
        let document = read_with(file, &[("STENTOR_BUS__THREADS", "5")], None).unwrap();
        assert_eq!(document.bus.threads, Some(5));
        assert_eq!(document.bus.lease.unwrap().as_secs(), 20);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        for (file, variable, key) in [
            ("[bus]\nleese = '20s'", None, "bus.leese"),
            ("colour = 'red'", None, "colour"),
            ("[colours]\nred = 1", None, "colours.red"),
            ("", Some(("STENTOR_BUS__LEESE", "20s")), "bus.leese"),
        ] {
            let error = read_with(file, variable.as_slice(), None).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_key() {
        let error = read_with("[bus]\nthreads = 'many'", &[], None).unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
        let error = read_with("[bus]\nlease = '20'", &[], None).unwrap_err();
        assert!(error.to_string().contains("30s, 15m"), "{error}");
    }

    #[test]
    fn keys_of_the_host_are_known() {
        assert!(read_with("[host]\ncolour = 'red'", &[("STENTOR_HOST__COLOUR", "blue")], None).is_ok());
        assert!(read_with("[host]\nsize = 1", &[], None).is_err());
    }

    #[test]
    fn variables_of_other_programs_are_left_alone() {
        assert!(read_with("", &[("STENTOR_HOME", "/x"), ("OTHER__KEY", "1")], None).is_ok());
    }
}
