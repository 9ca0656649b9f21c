//! Values that several tables write alike: lengths of time, a word where a table may stand, and
//! secrets, which never stand in the configuration.

use std::env::VarError;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, de};

/// A length of time as people write it: `5s`, `2h`. `None` where it is none, or negative.
pub(super) fn span(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

/// The secret that a variable of the environment holds. An error says what to do.
pub(super) fn secret_of_variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| match error {
        VarError::NotPresent => format!("the variable {name} is not set"),
        VarError::NotUnicode(_) => format!("the variable {name} is not UTF-8"),
    })
}

/// The secret that is a file's first line. An error says what to do.
pub(super) fn secret_of_file(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A value that is a text `W` or a table `T`. Serde's own untagged enums forget what was wrong with
/// the table; here a misspelt key is told as anywhere else. `expected` says what may stand there.
pub(super) fn word_or_table<'de, D, W, T, V>(
    reader: D,
    expected: &'static str,
) -> Result<V, D::Error>
where
    D: Deserializer<'de>,
    W: Deserialize<'de> + Into<V>,
    T: Deserialize<'de> + Into<V>,
{
    reader.deserialize_any(WordOrTable { expected, of: PhantomData::<(W, T, V)> })
}

struct WordOrTable<W, T, V> {
    expected: &'static str,
    of: PhantomData<(W, T, V)>,
}

impl<'de, W, T, V> Visitor<'de> for WordOrTable<W, T, V>
where
    W: Deserialize<'de> + Into<V>,
    T: Deserialize<'de> + Into<V>,
{
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V, E> {
        W::deserialize(text.into_deserializer())
            .map(Into::into)
            .map_err(|_: de::value::Error| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<V, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(Into::into)
    }
}
