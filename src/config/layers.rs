//! File, environment and flags, laid over one another.
//!
//! A file takes the place of the built-in configuration as a whole. `RECGATE_A__B` and
//! `--set a.b=…` override single keys, flags after variables. A step through an array is an
//! index, or the `name` of an entry: `upstream.genesys.url`.

use std::ffi::OsString;
use std::path::Path;

use toml::{Table, Value};
use toml_edit::Document;

use super::checked::Config;
use super::checking::Checking;
use super::raw::Raw;
use super::{BUILT_IN, ConfigError};

/// The prefix of the variables that override keys.
const PREFIX: &str = "RECGATE_";

/// Where the keys of a configuration come from.
#[derive(Clone, Debug)]
pub struct Layers {
    origin: String,
    text: String,
    overrides: Vec<Override>,
}

#[derive(Clone, Debug)]
struct Override {
    /// The variable's name, or the flag's: the key is told beside it, and its value may be what
    /// logs are not to hold.
    origin: String,
    path: Vec<String>,
    value: String,
}

// === impl Layers ===

impl Layers {
    /// The built-in file, or another in its place.
    pub fn open(file: Option<&Path>) -> Result<Self, ConfigError> {
        let (origin, text) = match file {
            None => ("config.toml (built in)".to_owned(), BUILT_IN.to_owned()),
            Some(path) => {
                let origin = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
                    origin: origin.clone(),
                    position: None,
                    key: String::new(),
                    message: format!("cannot be read: {error}"),
                })?;
                (origin, text)
            }
        };
        Ok(Self { origin, text, overrides: Vec::new() })
    }

    /// Lays variables over: those that begin with `RECGATE_`. The others are nobody's business here,
    /// whatever bytes they hold.
    pub fn with_variables(
        mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        let own =
            variables.filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        for (name, value) in own {
            let origin = name.to_string_lossy().into_owned();
            match (name.to_str().and_then(|name| name.strip_prefix(PREFIX)), value.into_string()) {
                (Some(key), Ok(value)) => {
                    let path = key.to_ascii_lowercase().split("__").map(str::to_owned).collect();
                    found.push(Override { origin, path, value });
                }
                // Its value may be a secret, broken as it is.
                _ => faults.push(ConfigError {
                    origin,
                    position: None,
                    key: String::new(),
                    message: "is not UTF-8".to_owned(),
                }),
            }
        }
        if !faults.is_empty() {
            faults.sort_by(|a, b| a.origin.cmp(&b.origin));
            return Err(faults);
        }
        found.sort_by(|a, b| a.origin.cmp(&b.origin));
        self.overrides.extend(found);
        Ok(self)
    }

    /// Lays one flag over: `key=value`, with dots between the steps.
    pub fn with_flag(mut self, flag: &str, assignment: &str) -> Result<Self, ConfigError> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(ConfigError {
                origin: format!("{flag} {assignment}"),
                position: None,
                key: String::new(),
                message: "needs key=value, such as gateway.listen=127.0.0.1:8000".to_owned(),
            });
        };
        let path = key.trim().split('.').map(str::to_owned).collect();
        self.overrides.push(Override { origin: flag.to_owned(), path, value: value.to_owned() });
        Ok(self)
    }

    /// Puts the layers together and checks them. Faults of a kind that hides others end the
    /// search; else every fault is told.
    pub fn load(&self) -> Result<Config, Vec<ConfigError>> {
        let (config, faults) = self.examine().map_err(|error| vec![error])?;
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// The same for whoever looks for more faults: the configuration as far as it is sound.
    pub fn examine(&self) -> Result<(Config, Vec<ConfigError>), ConfigError> {
        let raw = self.raw()?;
        let locate = |key: &str| self.locate(key);
        Ok(Checking::new(&locate).check(raw))
    }

    /// The configuration as it is written, after all layers.
    pub fn raw(&self) -> Result<Raw, ConfigError> {
        let in_file = |error: toml::de::Error| {
            let span = error.span();
            let key = span.clone().map(|span| key_at(&self.text, span.start)).unwrap_or_default();
            ConfigError::in_text(&self.origin, &self.text, span, key, error.message())
        };
        let raw: Raw = toml::from_str(&self.text).map_err(in_file)?;
        if self.overrides.is_empty() {
            return Ok(raw);
        }
        let mut table: Table = toml::from_str(&self.text).map_err(in_file)?;
        let mut raw = raw;
        for change in &self.overrides {
            let fault = |message: String| ConfigError {
                origin: change.origin.clone(),
                position: None,
                key: change.path.join("."),
                message,
            };
            assign(&mut table, &change.path, &change.value).map_err(fault)?;
            raw = table
                .clone()
                .try_into()
                .map_err(|error: toml::de::Error| fault(error.message().to_owned()))?;
        }
        Ok(raw)
    }

    /// A fault that using a value showed, such as a file that cannot be read; `key` as
    /// `upstream.genesys.ca_file`.
    #[must_use]
    pub fn fault(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let (origin, position) = self.locate(key);
        ConfigError { origin, position, key: key.to_owned(), message: message.into() }
    }

    /// The fault's place: the override that set the key, or the table that it stands in, or the file.
    fn locate(&self, key: &str) -> (String, Option<(usize, usize)>) {
        let sets = |path: &[String]| {
            let rest = key.strip_prefix(&*path.join("."));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let set = self.overrides.iter().rev().find(|set| sets(&set.path));
        if let Some(set) = set {
            return (set.origin.clone(), None);
        }
        let span = Document::parse(&*self.text).ok().and_then(|document| {
            let mut item = document.as_item();
            let mut span = None;
            // What is missing is told where it belongs: at the table it would stand in.
            for step in key.split('.') {
                let Some(inner) = step_into(item, step) else { break };
                item = inner;
                span = item.span().or(span);
            }
            span
        });
        let error = ConfigError::in_text(&self.origin, &self.text, span, String::new(), "");
        (error.origin, error.position)
    }
}

/// One step of a key, through a table or a list; an entry of a list goes by its name or its place.
fn step_into<'a>(item: &'a toml_edit::Item, step: &str) -> Option<&'a toml_edit::Item> {
    let named = |name: Option<&str>| name == Some(step);
    let by_name = if let Some(tables) = item.as_array_of_tables() {
        tables.iter().position(|it| named(it.get("name").and_then(toml_edit::Item::as_str)))
    } else if let Some(list) = item.as_array() {
        let name = |it: &'a toml_edit::Value| it.as_inline_table()?.get("name")?.as_str();
        list.iter().position(|it| named(name(it)))
    } else {
        return item.get(step);
    };
    item.get(by_name.or_else(|| step.parse().ok())?)
}

/// The key whose entry holds the byte `at`: the deepest one.
fn key_at(text: &str, at: usize) -> String {
    let Ok(document) = Document::parse(text) else { return String::new() };
    let mut path = Vec::new();
    descend(document.as_item(), at, &mut path);
    path.join(".")
}

fn descend(item: &toml_edit::Item, at: usize, path: &mut Vec<String>) {
    let holds = |span: Option<std::ops::Range<usize>>| span.is_some_and(|span| span.contains(&at));
    if let Some(tables) = item.as_array_of_tables() {
        for (index, table) in tables.iter().enumerate() {
            let name = table.get("name").and_then(|name| name.as_str());
            path.push(name.map_or_else(|| index.to_string(), str::to_owned));
            let before = path.len();
            descend_table(table, at, path);
            if path.len() > before || holds(table.span()) {
                return;
            }
            path.pop();
        }
    } else if let Some(table) = item.as_table_like() {
        descend_table(table, at, path);
    }
}

fn descend_table(table: &dyn toml_edit::TableLike, at: usize, path: &mut Vec<String>) {
    for (key, item) in table.iter() {
        let key_span = table.key(key).and_then(toml_edit::Key::span);
        let inside =
            |span: Option<std::ops::Range<usize>>| span.is_some_and(|span| span.contains(&at));
        path.push(key.to_owned());
        let before = path.len();
        descend(item, at, path);
        if path.len() > before || inside(key_span) || inside(item.span()) {
            return;
        }
        path.pop();
    }
}

/// Sets one key. The text is read as TOML where it is TOML, else as a string.
fn assign(table: &mut Table, path: &[String], text: &str) -> Result<(), String> {
    let (last, steps) = path.split_last().ok_or("an empty key")?;
    let mut at = table;
    for (depth, step) in steps.iter().enumerate() {
        let entry = at.entry(step.clone()).or_insert_with(|| Value::Table(Table::new()));
        match entry {
            Value::Table(inner) => at = inner,
            Value::Array(_) => return assign_in_array(entry, &path[depth + 1..], text),
            _ => return Err(format!("`{step}` is a value and has no keys")),
        }
    }
    at.insert(last.clone(), value_of(text));
    Ok(())
}

fn assign_in_array(array: &mut Value, path: &[String], text: &str) -> Result<(), String> {
    let Value::Array(entries) = array else { return Err("not a list".to_owned()) };
    let Some((step, rest)) = path.split_first() else { return Err("an empty key".to_owned()) };
    let named = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(step);
    let at = step.parse().ok().or_else(|| entries.iter().position(named));
    let known: Vec<&str> =
        entries.iter().filter_map(|entry| entry.get("name").and_then(Value::as_str)).collect();
    let known = known.join(", ");
    match at.and_then(|at: usize| entries.get_mut(at)) {
        Some(Value::Table(entry)) if !rest.is_empty() => assign(entry, rest, text),
        _ => Err(format!("no entry `{step}`; there are: {known}")),
    }
}

fn value_of(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
