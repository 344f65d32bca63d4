//! One SQL text for both databases: statements, values, rows.

use std::borrow::Cow;
use std::sync::OnceLock;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{DatabaseKind, StoreError};

/// A statement of the bus, written once and rendered for each database.
///
/// Beside `$1` the text may hold: `{now}`, the database's time; `{now+$2}`, that
/// many microseconds later; `{in $1}`, membership in a list of ids; `{inT $1}`,
/// in a list of texts; `{lock}`, a row lock where there are several writers;
/// `{us EXPR}`, a time difference in microseconds; `{rows $1 AS r(a uuid, b text,
/// c bigint)}`, a JSON array of objects as a table; `{sqlite:…}` and `{postgres:…}`.
pub(crate) struct Statement {
    template: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Statement {
    pub(crate) const fn new(template: &'static str) -> Self {
        Self { template, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    pub(crate) fn text(&'static self, kind: DatabaseKind) -> &'static str {
        let cell = match kind {
            DatabaseKind::Sqlite => &self.sqlite,
            DatabaseKind::Postgres => &self.postgres,
        };
        cell.get_or_init(|| render(self.template, kind))
    }
}

fn render(template: &str, kind: DatabaseKind) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        text.push_str(&rest[..start]);
        let end = start + matching_brace(&rest[start..]);
        text.push_str(&token(&rest[start + 1..end], kind));
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    text
}

fn matching_brace(text: &str) -> usize {
    let mut depth = 0_usize;
    for (position, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return position,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len() - 1
}

fn token(token: &str, kind: DatabaseKind) -> Cow<'_, str> {
    const SQLITE_NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
    let sqlite = kind == DatabaseKind::Sqlite;
    if let Some(text) = token.strip_prefix("sqlite:") {
        return if sqlite { render(text, kind).into() } else { "".into() };
    }
    if let Some(text) = token.strip_prefix("postgres:") {
        return if sqlite { "".into() } else { render(text, kind).into() };
    }
    if let Some(list) = token.strip_prefix("inT ") {
        return if sqlite {
            format!("IN (SELECT value FROM json_each({list}))").into()
        } else {
            format!("= ANY({list}::text[])").into()
        };
    }
    if let Some(list) = token.strip_prefix("in ") {
        return if sqlite {
            format!("IN (SELECT unhex(value) FROM json_each({list}))").into()
        } else {
            format!("= ANY({list}::uuid[])").into()
        };
    }
    if let Some(delay) = token.strip_prefix("now+") {
        return if sqlite {
            format!("{SQLITE_NOW} + {delay}").into()
        } else {
            format!("now() + {delay} * interval '1 microsecond'").into()
        };
    }
    if let Some(expression) = token.strip_prefix("us ") {
        let expression = render(expression, kind);
        return if sqlite {
            format!("({expression})").into()
        } else {
            format!("CAST(extract(epoch FROM ({expression})) * 1000000 AS BIGINT)").into()
        };
    }
    if let Some(rows) = token.strip_prefix("rows ") {
        return table(rows, sqlite).into();
    }
    match token {
        "now" => if sqlite { SQLITE_NOW } else { "now()" }.into(),
        "lock" => if sqlite { "" } else { "FOR UPDATE" }.into(),
        "skip locked" => if sqlite { "" } else { "FOR UPDATE SKIP LOCKED" }.into(),
        other => format!("{{{other}}}").into(),
    }
}

/// Renders `$1 AS r(a uuid, b text)`: a JSON array of objects as a table.
fn table(rows: &str, sqlite: bool) -> String {
    let (parameter, alias) = rows.split_once(" AS ").unwrap_or((rows, "r()"));
    if !sqlite {
        return format!("jsonb_to_recordset({parameter}::jsonb) AS {alias}");
    }
    let (name, columns) = alias.split_once('(').unwrap_or((alias, ")"));
    let columns: Vec<String> = columns
        .trim_end_matches(')')
        .split(", ")
        .map(|column| {
            let (column, kind) = column.split_once(' ').unwrap_or((column, "text"));
            match kind {
                "uuid" => format!("unhex(value ->> '{column}') AS {column}"),
                _ => format!("value ->> '{column}' AS {column}"),
            }
        })
        .collect();
    format!("(SELECT {} FROM jsonb_each({parameter})) AS {name}", columns.join(", "))
}

/// A value that a statement is given.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A truth value.
    Bool(Option<bool>),
    /// An integer.
    Int(Option<i64>),
    /// A number.
    Float(Option<f64>),
    /// A text.
    Text(Option<String>),
    /// A UUID: `UUID` on PostgreSQL, 16 bytes on SQLite.
    Uuid(Option<Uuid>),
    /// A point in time: `TIMESTAMPTZ` on PostgreSQL, microseconds since 1970 on SQLite.
    Time(Option<OffsetDateTime>),
    /// JSON: `JSONB` on PostgreSQL, text on SQLite.
    Json(Option<serde_json::Value>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
    /// A list of UUIDs: `UUID[]` on PostgreSQL, a JSON array of hexadecimal texts on SQLite.
    Uuids(Vec<Uuid>),
    /// A list of texts: `TEXT[]` on PostgreSQL, a JSON array on SQLite.
    Texts(Vec<String>),
}

macro_rules! into_value {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self { Self::$variant(Some(value.into())) }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self { Self::$variant(value.map(Into::into)) }
        }
    )*};
}
into_value! {
    bool => Bool, i64 => Int, i32 => Int, u32 => Int, f64 => Float, String => Text, &str => Text, Uuid => Uuid,
    OffsetDateTime => Time, serde_json::Value => Json, Vec<u8> => Bytes,
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<&std::sync::Arc<str>> for Value {
    fn from(text: &std::sync::Arc<str>) -> Self {
        Self::Text(Some(text.to_string()))
    }
}

impl From<Vec<Uuid>> for Value {
    fn from(ids: Vec<Uuid>) -> Self {
        Self::Uuids(ids)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

/// Makes the list of values for a statement: `args![id, "name", None::<i64>]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::Value::from($value)),*] };
}

/// A row of a result, from either database.
#[derive(Debug)]
pub struct Row(pub(crate) NativeRow);

#[derive(Debug)]
pub(crate) enum NativeRow {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

/// A type that a column can be read as, the same from both databases.
pub trait Column: Sized {
    #[doc(hidden)]
    fn read(row: &Row, name: &str) -> Result<Self, StoreError>;
}

impl Row {
    /// Reads the column `name`.
    ///
    /// # Errors
    ///
    /// Fails if there is no such column or it holds another type.
    pub fn get<T: Column>(&self, name: &str) -> Result<T, StoreError> {
        T::read(self, name)
    }
}

macro_rules! read_native {
    ($row:expr, $name:expr, $type:ty) => {{
        use sqlx::Row as _;
        Ok(match &$row.0 {
            #[cfg(feature = "sqlite")]
            NativeRow::Sqlite(row) => row.try_get::<$type, _>($name)?,
            #[cfg(feature = "postgres")]
            NativeRow::Postgres(row) => row.try_get::<$type, _>($name)?,
        })
    }};
}

macro_rules! native_column {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Self, StoreError> { read_native!(row, name, $type) }
        }
        impl Column for Option<$type> {
            fn read(row: &Row, name: &str) -> Result<Self, StoreError> { read_native!(row, name, Option<$type>) }
        }
    )*};
}

native_column!(bool, i64, f64, String, Uuid, Vec<u8>);

impl Column for Option<OffsetDateTime> {
    fn read(row: &Row, name: &str) -> Result<Self, StoreError> {
        use sqlx::Row as _;
        Ok(match &row.0 {
            #[cfg(feature = "sqlite")]
            NativeRow::Sqlite(row) => row
                .try_get::<Option<i64>, _>(name)?
                .map(|micros| OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000))
                .transpose()
                .map_err(|error| StoreError::Sql(sqlx::Error::Decode(error.into())))?,
            #[cfg(feature = "postgres")]
            NativeRow::Postgres(row) => row.try_get::<Option<OffsetDateTime>, _>(name)?,
        })
    }
}

impl Column for OffsetDateTime {
    fn read(row: &Row, name: &str) -> Result<Self, StoreError> {
        required(row, name)
    }
}

impl Column for Option<serde_json::Value> {
    fn read(row: &Row, name: &str) -> Result<Self, StoreError> {
        use sqlx::Row as _;
        Ok(match &row.0 {
            #[cfg(feature = "sqlite")]
            NativeRow::Sqlite(row) => row
                .try_get::<Option<String>, _>(name)?
                .map(|text| serde_json::from_str(&text))
                .transpose()
                .map_err(|error| StoreError::Sql(sqlx::Error::Decode(error.into())))?,
            #[cfg(feature = "postgres")]
            NativeRow::Postgres(row) => row.try_get::<Option<serde_json::Value>, _>(name)?,
        })
    }
}

impl Column for serde_json::Value {
    fn read(row: &Row, name: &str) -> Result<Self, StoreError> {
        required(row, name)
    }
}

fn required<T>(row: &Row, name: &str) -> Result<T, StoreError>
where
    Option<T>: Column,
{
    <Option<T>>::read(row, name)?.ok_or_else(|| {
        let null = format!("column {name:?} is NULL");
        StoreError::Sql(sqlx::Error::Decode(null.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::{DatabaseKind, render};

    #[test]
    fn one_template_reads_well_on_both_databases() {
        let template = "UPDATE t SET a = {now} WHERE id {in $1} {postgres:AND {now+$2} > b}";
        assert_eq!(
            render(template, DatabaseKind::Postgres),
            "UPDATE t SET a = now() WHERE id = ANY($1::uuid[]) AND now() + $2 * interval '1 microsecond' > b"
        );
        assert!(
            render(template, DatabaseKind::Sqlite).contains("IN (SELECT unhex(value) FROM json_each($1))")
        );
    }

    #[test]
    fn a_table_of_json_rows_names_its_columns() {
        let template = "SELECT * FROM {rows $1 AS r(a uuid, b text)}";
        assert_eq!(
            render(template, DatabaseKind::Postgres),
            "SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(a uuid, b text)"
        );
        assert_eq!(
            render(template, DatabaseKind::Sqlite),
            "SELECT * FROM (SELECT unhex(value ->> 'a') AS a, value ->> 'b' AS b FROM jsonb_each($1)) AS r"
        );
    }
}
