//! Statements with their values, and how they are written for the database that gets them.

use std::borrow::Cow;

use sqlx::Arguments;
use sqlx::any::AnyArguments;
use uuid::Uuid;

use super::Backend;

/// A statement with its values.
pub(in crate::ledger) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
    shape: Shape,
}

/// Statements on their way to the database: as they are written there, and their values.
pub(super) struct Ready {
    pub(super) text: String,
    pub(super) values: AnyArguments,
    pub(super) persistent: bool,
}

/// Bytes of a statement with a varying list of values that SQLite keeps prepared. sqlx keeps a hundred
/// of all.
const KEPT_BYTES: usize = 2 * 1024;

/// Whether the text of a statement is always the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Fixed,
    Varying,
}

// === impl Statement ===

impl Statement {
    /// A statement whose text never changes.
    pub(in crate::ledger) const fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), values: Vec::new(), shape: Shape::Fixed }
    }

    /// A statement whose text is put together, always in the same way.
    pub(in crate::ledger) const fn lasting(text: String) -> Self {
        Self { text: Cow::Owned(text), values: Vec::new(), shape: Shape::Fixed }
    }

    /// A statement that is put together.
    pub(in crate::ledger) fn varying(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), values: Vec::new(), shape: Shape::Varying }
    }

    /// More text.
    pub(in crate::ledger) fn push(&mut self, text: &str) {
        self.text.to_mut().push_str(text);
    }

    /// A value, for a place that the text names already.
    pub(in crate::ledger) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// A value and its place.
    pub(in crate::ledger) fn bind(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.push(&place);
    }

    /// Values and their places, with commas, in parentheses.
    pub(in crate::ledger) fn tuple(&mut self, values: impl IntoIterator<Item = Value>) {
        self.push("(");
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")");
    }

    /// `(…), (…), …`: a tuple of values for each item.
    pub(in crate::ledger) fn rows<T, const N: usize>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        values: impl Fn(T) -> [Value; N],
    ) {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.tuple(values(item));
        }
    }
}

// === impl Ready ===

impl Ready {
    /// PostgreSQL takes one statement at a time.
    pub(super) fn of(statements: Vec<Statement>, backend: Backend) -> Self {
        let mut text = String::new();
        let mut values = AnyArguments::default();
        let mut fixed = true;
        let several = statements.len() > 1;
        for statement in statements {
            if !text.is_empty() {
                text.push_str("; ");
            }
            fixed &= statement.shape == Shape::Fixed;
            match backend {
                // By name SQLite looks each place up among all others, for every execution.
                Backend::Sqlite if several || statement.shape == Shape::Varying => {
                    push_in_order(&mut text, &statement.text, values.len());
                }
                _ => text.push_str(&statement.text),
            }
            for value in statement.values {
                // Encoding for the `Any` driver only moves the value.
                let added = match value {
                    Value::Text(text) => values.add(text),
                    Value::Number(number) => values.add(number),
                    Value::Bytes(bytes) => values.add(bytes),
                };
                debug_assert!(added.is_ok());
            }
        }
        let persistent = fixed || backend == Backend::Sqlite && text.len() <= KEPT_BYTES;
        Self { text, values, persistent }
    }
}

/// A statement behind others that have `before` values together. Places that stand in their order need
/// no number.
fn push_in_order(text: &mut String, statement: &str, before: usize) {
    let place = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (rest[..digits].parse::<usize>().ok(), digits)
    };
    let numbers = statement.split('$').skip(1).map(|rest| place(rest).0);
    let in_order = numbers.zip(1..).all(|(number, at)| number == Some(at));
    let mut parts = statement.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for rest in parts {
        match place(rest) {
            (Some(_), digits) if in_order => {
                text.push('?');
                text.push_str(&rest[digits..]);
            }
            (Some(number), digits) => {
                text.push('$');
                text.push_str(&(before + number).to_string());
                text.push_str(&rest[digits..]);
            }
            (None, _) => {
                text.push('$');
                text.push_str(rest);
            }
        }
    }
}

/// A value in a statement.
pub(in crate::ledger) enum Value {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

// === impl Value ===

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Text(id.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    /// Numbers of records and turns: beyond 2^63 none is reached.
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<[u8; 32]> for Value {
    fn from(bytes: [u8; 32]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Backend;
    use super::{Ready, Statement};

    #[test]
    fn statements_that_go_together_keep_their_values() {
        let mut first = Statement::varying("INSERT INTO a VALUES ");
        first.tuple([1_i64.into(), "$1".into()]);
        let again = Statement::varying("SELECT $1, $2, $1").with(3_i64).with(4_i64);
        let last = Statement::new("UPDATE b SET c = $1 WHERE d = '$'").with(5_i64);
        let ready = Ready::of(vec![first, again, last], Backend::Sqlite);
        assert_eq!(
            ready.text,
            "INSERT INTO a VALUES (?, ?); SELECT $3, $4, $3; UPDATE b SET c = $5 WHERE d = '$'"
        );
        assert!(ready.persistent);
        let alone = Statement::new("UPDATE b SET c = $1").with(5_i64);
        assert_eq!(Ready::of(vec![alone], Backend::Postgres).text, "UPDATE b SET c = $1");
    }
}
