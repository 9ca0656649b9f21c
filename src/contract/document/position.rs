//! From a pointer back to a line: only asked for once something is wrong.
//!
//! The parsed document keeps no positions, because a good one never needs them. An error walks the
//! text a second time, as YAML, which JSON is a part of.

use serde_saphyr::granit_parser::{Event, Parser, Span};

use crate::json::unescape_token;

/// Line and column, from 1, of the value at a pointer or of the nearest value around it: its name
/// where it is a member. Aliases are not walked into.
pub(super) fn locate(text: &str, pointer: &str) -> Option<(usize, usize)> {
    let target: Vec<String> =
        pointer.split('/').skip(1).map(|token| unescape_token(token).into_owned()).collect();
    let mut walk = Walk { target, path: Vec::new(), frames: Vec::new(), best: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(Ok((event, span))) = parser.next_event() {
        let more = match event {
            Event::Scalar(value, ..) => walk.scalar(&value, span),
            Event::Alias(..) => walk.scalar("", span),
            Event::MappingStart(..) => walk.open(Frame::Mapping { key: None }, span),
            Event::SequenceStart(..) => walk.open(Frame::Sequence { index: 0 }, span),
            Event::MappingEnd | Event::SequenceEnd => walk.close(),
            _ => Some(()),
        };
        if more.is_none() {
            break;
        }
    }
    walk.best.map(|(_, at)| at)
}

struct Walk {
    target: Vec<String>,
    path: Vec<String>,
    frames: Vec<Frame>,
    /// The deepest place on the way to the target so far, and how deep it is.
    best: Option<(usize, (usize, usize))>,
}

enum Frame {
    Mapping { key: Option<(String, Span)> },
    Sequence { index: usize },
}

// === impl Walk ===

/// Each step is `None` once there is nothing more to learn.
impl Walk {
    fn scalar(&mut self, value: &str, span: Span) -> Option<()> {
        if let Some(Frame::Mapping { key: key @ None }) = self.frames.last_mut() {
            *key = Some((value.to_owned(), span));
            return Some(());
        }
        self.enter(span)?;
        self.leave()
    }

    fn open(&mut self, frame: Frame, span: Span) -> Option<()> {
        if let Some(Frame::Mapping { key: None }) = self.frames.last() {
            // A collection as a key: no OpenAPI document, and no pointer leads there.
            return None;
        }
        self.enter(span)?;
        self.frames.push(frame);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        self.frames.pop();
        self.leave()
    }

    /// A value begins: is it on the way?
    fn enter(&mut self, span: Span) -> Option<()> {
        let start = match self.frames.last() {
            None => span,
            Some(Frame::Mapping { key }) => {
                let (name, at) = key.clone()?;
                self.path.push(name);
                at
            }
            Some(Frame::Sequence { index }) => {
                self.path.push(index.to_string());
                span
            }
        };
        let depth = self.path.len();
        if self.target.starts_with(&self.path) && self.best.is_none_or(|(best, _)| depth > best) {
            self.best = Some((depth, (start.start.line(), start.start.col() + 1)));
            if depth == self.target.len() {
                return None;
            }
        }
        Some(())
    }

    /// A value has ended: its frame moves on.
    fn leave(&mut self) -> Option<()> {
        self.path.pop();
        match self.frames.last_mut()? {
            Frame::Mapping { key } => *key = None,
            Frame::Sequence { index } => *index += 1,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::locate;

    #[test]
    fn a_pointer_leads_to_its_line_in_yaml_and_json() {
        let yaml =
            "a: 1\npaths:\n  /x/{id}:\n    get:\n      list:\n        - one\n        - two: 2\n";
        assert_eq!(locate(yaml, ""), Some((1, 1)));
        assert_eq!(locate(yaml, "/paths/~1x~1{id}/get"), Some((4, 5)));
        assert_eq!(locate(yaml, "/paths/~1x~1{id}/get/list/1/two"), Some((7, 11)));
        let json = "{\n  \"a\": [1, {\"b\": null}],\n  \"c\": {\"d\": true}\n}";
        assert_eq!(locate(json, "/a/1/b"), Some((2, 13)));
        assert_eq!(locate(json, "/c/d"), Some((3, 9)));
    }

    #[test]
    fn what_is_not_there_is_where_it_should_be() {
        assert_eq!(locate("a: 1\nb: {c: 2}\n", "/b/d/e"), Some((2, 1)));
    }
}
