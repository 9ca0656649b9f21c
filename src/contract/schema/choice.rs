//! Which edge a validator that several edges share is to judge by.
//!
//! The root of such a validator is a tree of conditions over [`keyword::BELOW`], so that a value
//! comes to its own schema in as many steps as the number of edges has binary digits, and is
//! judged as it is: nothing is wrapped around it. The choice is of this thread, which judges one
//! value at a time.

use std::cell::Cell;

use jsonschema::{Keyword, ValidationError};
use serde_json::{Value, json};

use super::keyword;
use crate::json::{Borrowed, Node};

thread_local! {
    static CHOSEN: Cell<usize> = const { Cell::new(0) };
}

/// Says which edge counts for what is judged next.
pub(super) fn choose(edge: usize) {
    CHOSEN.set(edge);
}

/// The schema that leads to the chosen one of these, which are numbered from `first` on.
pub(super) fn among(schemas: &[Value], first: usize) -> Value {
    match schemas {
        [] => Value::Bool(false),
        [only] => only.clone(),
        _ => {
            let (low, high) = schemas.split_at(schemas.len() / 2);
            let middle = first + low.len();
            json!({
                "if": { keyword::BELOW: middle },
                "then": among(low, first),
                "else": among(high, middle),
            })
        }
    }
}

/// The keyword: true where the chosen edge has a number below this one.
pub(super) struct Below(usize);

// === impl Below ===

impl Below {
    pub(super) fn read(value: &Value) -> Option<Self> {
        value.as_u64().and_then(|it| usize::try_from(it).ok()).map(Self)
    }
}

impl<'i> Keyword<'i, Borrowed> for Below {
    fn validate(&self, node: &'i Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(node) { Ok(()) } else { Err(ValidationError::custom("another edge")) }
    }

    fn is_valid(&self, _: &'i Node<'i>) -> bool {
        CHOSEN.get() < self.0
    }
}
