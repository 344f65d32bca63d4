//! Whether every value that fits one JSON Schema fits another one too.
//!
//! A schema is taken apart into alternatives of one type each, and each old
//! alternative needs a new one that takes all of it. This knows the keywords that
//! Rust types make; of another keyword that both have, it knows only whether it is
//! the same.

use serde_json::{Map, Value};

/// What says something about a value without ruling any out.
const ANNOTATIONS: [&str; 7] =
    ["title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly"];
/// Bounds that a value may not fall below, and may not exceed.
const LOWER: [&str; 3] = ["minLength", "minItems", "minProperties"];
const UPPER: [&str; 3] = ["maxLength", "maxItems", "maxProperties"];

/// Returns what fits `old` and not `new`, as pairs of place and problem.
pub(super) fn breaks(old: &Value, new: &Value) -> Vec<(String, String)> {
    let mut comparison = Comparison::default();
    comparison.schemas(old, new, "payload");
    comparison.found
}

#[derive(Default)]
struct Comparison {
    found: Vec<(String, String)>,
}

impl Comparison {
    fn add(&mut self, path: &str, problem: impl Into<String>) {
        self.found.push((path.to_owned(), problem.into()));
    }

    fn schemas(&mut self, old: &Value, new: &Value, path: &str) {
        if old == new || allows_all(new) {
            return;
        }
        let new = alternatives(new);
        for old in alternatives(old) {
            if new.iter().any(|new| takes(&old, new)) {
                continue;
            }
            // What is wrong with the one that was meant says more than that none will do.
            let mut meant = new.iter().filter(|new| kind(new) == kind(&old));
            match (new.as_slice(), meant.next(), meant.next()) {
                ([only], ..) | (_, Some(only), None) => self.single(&old, only, path),
                _ => self.add(path, format!("{} is no longer allowed", name(&old))),
            }
        }
    }

    /// Compares two alternatives.
    fn single(&mut self, old: &Value, new: &Value, path: &str) {
        if allows_all(new) {
            return;
        }
        if let Some(only) = new.get("const") {
            if old.get("const") != Some(only) {
                self.add(path, format!("was {}, must be {only} now", name(old)));
            }
            return;
        }
        if kind(old) != kind(new) && (kind(old), kind(new)) != (Some("integer"), Some("number")) {
            return self.add(path, format!("was {}, is {} now", name(old), name(new)));
        }
        if old.get("const").is_some() {
            return;
        }
        self.bounds(old, new, path);
        self.keywords(old, new, path);
        match kind(new) {
            Some("object") => self.objects(old, new, path),
            Some("array") => self.arrays(old, new, path),
            _ => (),
        }
    }

    fn bounds(&mut self, old: &Value, new: &Value, path: &str) {
        let ((old_min, old_max), (new_min, new_max)) = (range(old), range(new));
        if new_min > old_min || new_max < old_max {
            self.add(path, format!("was {old_min} to {old_max}, is {new_min} to {new_max} now"));
        }
        for (keywords, is_tighter) in
            [(LOWER, f64::gt as fn(&f64, &f64) -> bool), (UPPER, f64::lt as fn(&f64, &f64) -> bool)]
        {
            for keyword in keywords {
                let Some(bound) = number(new, keyword) else { continue };
                if number(old, keyword).is_none_or(|old| is_tighter(&bound, &old)) {
                    self.add(path, format!("{keyword} is {bound} now"));
                }
            }
        }
    }

    /// Compares what can only be the same or not.
    fn keywords(&mut self, old: &Value, new: &Value, path: &str) {
        let is_number = matches!(kind(new), Some("integer" | "number"));
        for keyword in ["$ref", "pattern", "format", "uniqueItems", "multipleOf", "not"] {
            let Some(value) = new.get(keyword) else { continue };
            // Formats of numbers are ranges.
            if old.get(keyword) != Some(value) && !(keyword == "format" && is_number) {
                self.add(path, format!("{keyword} is {value} now"));
            }
        }
    }

    fn objects(&mut self, old: &Value, new: &Value, path: &str) {
        for name in required(new).filter(|name| required(old).all(|old| old != *name)) {
            self.add(&format!("{path}.{name}"), "is required now, and stored events may not have it");
        }
        let rest = new.get("additionalProperties").unwrap_or(&Value::Bool(true));
        for (name, was) in properties(old) {
            let path = format!("{path}.{name}");
            match (properties(new).find(|(new, _)| *new == name), rest) {
                (Some((_, is)), _) => self.schemas(was, is, &path),
                (None, Value::Bool(false)) => self.add(&path, "is no longer allowed"),
                (None, rest) => self.schemas(was, rest, &path),
            }
        }
        match (old.get("additionalProperties"), rest) {
            // As good as none: serde ignores what it does not know, and nothing more is stored.
            (None | Some(Value::Bool(_)), Value::Bool(_)) => (),
            (None, rest) if properties(old).next().is_some() && !allows_all(rest) => (),
            (was, rest) => self.schemas(was.unwrap_or(&Value::Bool(true)), rest, &format!("{path}.*")),
        }
    }

    fn arrays(&mut self, old: &Value, new: &Value, path: &str) {
        let place = |schema: &Value, index: usize| -> Option<Value> {
            schema.get("prefixItems")?.get(index).cloned()
        };
        let rest = |schema: &Value| schema.get("items").cloned().unwrap_or(Value::Bool(true));
        let mut index = 0;
        while place(old, index).is_some() || place(new, index).is_some() {
            let item = |schema: &Value| place(schema, index).unwrap_or_else(|| rest(schema));
            self.schemas(&item(old), &item(new), &format!("{path}[{index}]"));
            index += 1;
        }
        self.schemas(&rest(old), &rest(new), &format!("{path}[]"));
    }
}

fn takes(old: &Value, new: &Value) -> bool {
    let mut comparison = Comparison::default();
    comparison.single(old, new, "");
    comparison.found.is_empty()
}

fn allows_all(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => {
            keywords.keys().all(|keyword| ANNOTATIONS.contains(&&**keyword) || keyword.starts_with("x-"))
        }
        other => *other == Value::Bool(true),
    }
}

/// Takes a schema apart into schemas of one type, or one value, each.
fn alternatives(schema: &Value) -> Vec<Value> {
    let Value::Object(keywords) = schema else { return vec![schema.clone()] };
    let without = |keyword: &str| {
        let mut base = keywords.clone();
        base.remove(keyword);
        base
    };
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(parts)) = keywords.get(keyword) {
            let parts = parts.iter().map(|part| merged(without(keyword), part));
            return parts.flat_map(|part| alternatives(&part)).collect();
        }
    }
    if let Some(Value::Array(parts)) = keywords.get("allOf") {
        let base = Value::Object(without("allOf"));
        let whole = parts.iter().fold(base, |whole, part| match whole {
            Value::Object(base) => merged(base, part),
            other => other,
        });
        return alternatives(&whole);
    }
    if let Some(Value::Array(values)) = keywords.get("enum") {
        return values.iter().map(|value| serde_json::json!({ "const": value })).collect();
    }
    if let Some(Value::Array(names)) = keywords.get("type") {
        return names
            .iter()
            .map(|name| merged(without("type"), &serde_json::json!({ "type": name })))
            .collect();
    }
    vec![schema.clone()]
}

/// Returns a schema of whatever fits both.
fn merged(mut base: Map<String, Value>, part: &Value) -> Value {
    let Value::Object(part) = part else { return Value::Object(base) };
    for (keyword, value) in part {
        match (base.get_mut(keyword), value) {
            (Some(Value::Object(all)), Value::Object(more)) if keyword == "properties" => {
                all.extend(more.clone());
            }
            (Some(Value::Array(all)), Value::Array(more)) if keyword == "required" => {
                all.extend(more.clone());
            }
            _ => {
                base.insert(keyword.clone(), value.clone());
            }
        }
    }
    Value::Object(base)
}

/// Returns the one type of an alternative; none if it may be any.
fn kind(schema: &Value) -> Option<&str> {
    if let Some(value) = schema.get("const") {
        return Some(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        });
    }
    schema.get("type").and_then(Value::as_str)
}

fn name(schema: &Value) -> String {
    match (schema.get("const"), kind(schema)) {
        (Some(value), _) => value.to_string(),
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => "any value".to_owned(),
    }
}

/// Returns the least and the greatest number that fit.
fn range(schema: &Value) -> (f64, f64) {
    let (least, greatest) = match schema.get("format").and_then(Value::as_str) {
        Some("int8") => (f64::from(i8::MIN), f64::from(i8::MAX)),
        Some("int16") => (f64::from(i16::MIN), f64::from(i16::MAX)),
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Some("int64") => (-(2_f64.powi(63)), 2_f64.powi(63)),
        Some("uint8") => (0.0, f64::from(u8::MAX)),
        Some("uint16") => (0.0, f64::from(u16::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        Some("uint64") => (0.0, 2_f64.powi(64)),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let at_least = |keyword| number(schema, keyword).unwrap_or(f64::NEG_INFINITY);
    let at_most = |keyword| number(schema, keyword).unwrap_or(f64::INFINITY);
    (
        least.max(at_least("minimum")).max(at_least("exclusiveMinimum")),
        greatest.min(at_most("maximum")).min(at_most("exclusiveMaximum")),
    )
}

fn number(schema: &Value, keyword: &str) -> Option<f64> {
    schema.get(keyword)?.as_f64()
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests;
