//! From a pointer back to a line and a column: an index that is made once, when a text is read.
//!
//! Every finding names the rule's place in the file that a person wrote, so a lookup must be cheap
//! while messages are judged. The index holds sixteen bytes a value and none of the text: values
//! in the text's order, each with a hash of its name and the end of what stands inside it. A walk
//! from the root compares hashes only; two names of one object whose 32 bits agree would cost a
//! wrong line in a finding, never a wrong verdict.
//!
//! JSON is scanned by its bytes and YAML by its events. YAML's aliases and merge keys (`<<`) lead
//! to where the text stands once.

use std::{collections::HashMap, ops::Range};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::json::unescape_token;

/// The places of a text's values.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<Place>,
    /// YAML's aliases: from the value that stands for another one to that one.
    aliases: HashMap<u32, u32>,
}

/// Where a value begins, or its name where it is a member. Lines and columns from 1.
#[derive(Clone, Copy, Debug)]
struct Place {
    name: u32,
    line: u32,
    column: u32,
    /// The index behind the last value inside this one.
    end: u32,
}

/// A collection whose end was not seen yet.
enum Open {
    Mapping {
        place: u32,
        /// The name that was read, whose value comes next.
        name: Option<Name>,
    },
    Sequence {
        place: u32,
        next: u32,
    },
}

#[derive(Clone, Copy)]
struct Name {
    hash: u32,
    line: u32,
    column: u32,
}

#[derive(Default)]
struct Builder {
    index: Index,
    open: Vec<Open>,
}

// === impl Index ===

impl Index {
    /// Of a text that was read as JSON before.
    pub(super) fn of_json(text: &str) -> Self {
        Scan { bytes: text.as_bytes(), text, at: 0, line: 1, column: 1 }.run()
    }

    /// Of a text that was read as YAML before. `plain` sees every value that is a plain scalar
    /// without a tag, and where it stands, in bytes.
    pub(super) fn of_yaml(text: &str, mut plain: impl FnMut(&str, Range<usize>)) -> Self {
        let mut builder = Builder::default();
        let mut anchors: HashMap<usize, u32> = HashMap::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = parser.next_event() {
            match event {
                Event::Scalar(value, ..) if builder.name(|| hash(&value), spot(span)) => {}
                Event::Alias(_) if builder.name(|| 0, spot(span)) => {}
                Event::Scalar(value, style, anchor, tag) => {
                    let bytes = (span.start.byte_offset(), span.end.byte_offset());
                    if style == ScalarStyle::Plain
                        && tag.is_none()
                        && let (Some(start), Some(end)) = bytes
                    {
                        plain(&value, start..end);
                    }
                    anchors.insert(anchor, builder.count());
                    builder.value(spot(span));
                }
                Event::Alias(anchor) => {
                    if let Some(target) = anchors.get(&anchor) {
                        builder.index.aliases.insert(builder.count(), *target);
                    }
                    builder.value(spot(span));
                }
                Event::MappingStart(_, anchor, _) => {
                    anchors.insert(anchor, builder.count());
                    builder.mapping(spot(span));
                }
                Event::SequenceStart(_, anchor, _) => {
                    anchors.insert(anchor, builder.count());
                    builder.sequence(spot(span));
                }
                Event::MappingEnd | Event::SequenceEnd => builder.close(),
                _ => {}
            }
        }
        builder.index
    }

    /// Line and column of the value at a pointer, or of the nearest value around it.
    pub(super) fn find(&self, pointer: &str) -> Option<(usize, usize)> {
        let mut here = 0;
        self.places.first()?;
        for token in pointer.split('/').skip(1) {
            match self.member(here, hash(&unescape_token(token))) {
                Some(member) => here = member,
                None => break,
            }
        }
        let place = self.places.get(here as usize)?;
        Some((place.line as usize, place.column as usize))
    }

    fn member(&self, parent: u32, name: u32) -> Option<u32> {
        let parent = self.aliases.get(&parent).copied().unwrap_or(parent);
        let named = |wanted: u32| self.members(parent).find(|it| self.name_of(*it) == Some(wanted));
        named(name).or_else(|| {
            let merged = named(hash("<<"))?;
            let merged = self.aliases.get(&merged).copied().unwrap_or(merged);
            let inside = |at: u32| self.members(at).find(|it| self.name_of(*it) == Some(name));
            // A mapping, or a list of them.
            inside(merged).or_else(|| {
                self.members(merged)
                    .find_map(|it| inside(self.aliases.get(&it).copied().unwrap_or(it)))
            })
        })
    }

    fn name_of(&self, place: u32) -> Option<u32> {
        self.places.get(place as usize).map(|it| it.name)
    }

    fn members(&self, parent: u32) -> impl Iterator<Item = u32> {
        let end = self.places.get(parent as usize).map_or(0, |it| it.end);
        let mut next = parent + 1;
        std::iter::from_fn(move || {
            let here = next;
            if here >= end {
                return None;
            }
            // Always forward, whatever the text was.
            next = self.places.get(here as usize)?.end.max(here + 1);
            Some(here)
        })
    }
}

// === impl Builder ===

impl Builder {
    fn count(&self) -> u32 {
        u32::try_from(self.index.places.len()).unwrap_or(u32::MAX)
    }

    /// Takes a scalar as a member's name, where one is due.
    fn name(&mut self, hash: impl FnOnce() -> u32, (line, column): (u32, u32)) -> bool {
        let Some(Open::Mapping { name: name @ None, .. }) = self.open.last_mut() else {
            return false;
        };
        *name = Some(Name { hash: hash(), line, column });
        true
    }

    /// A value begins; a collection's end is set when it closes.
    fn value(&mut self, (line, column): (u32, u32)) -> u32 {
        let place = self.count();
        let name = match self.open.last_mut() {
            None => Name { hash: 0, line, column },
            Some(Open::Mapping { name, .. }) => {
                name.take().unwrap_or(Name { hash: 0, line, column })
            }
            Some(Open::Sequence { next, .. }) => {
                let hash = hash(&next.to_string());
                *next += 1;
                Name { hash, line, column }
            }
        };
        let Name { hash, line, column } = name;
        self.index.places.push(Place { name: hash, line, column, end: place + 1 });
        place
    }

    fn mapping(&mut self, spot: (u32, u32)) {
        let place = self.value(spot);
        self.open.push(Open::Mapping { place, name: None });
    }

    fn sequence(&mut self, spot: (u32, u32)) {
        let place = self.value(spot);
        self.open.push(Open::Sequence { place, next: 0 });
    }

    fn close(&mut self) {
        let end = self.count();
        let Some(Open::Mapping { place, .. } | Open::Sequence { place, .. }) = self.open.pop()
        else {
            return;
        };
        if let Some(place) = self.index.places.get_mut(place as usize) {
            place.end = end;
        }
    }
}

/// A walk over the bytes of JSON.
struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    line: u32,
    column: u32,
}

// === impl Scan ===

impl Scan<'_> {
    fn run(mut self) -> Index {
        let mut builder = Builder::default();
        while let Some(byte) = self.bytes.get(self.at) {
            let spot = (self.line, self.column);
            match byte {
                b'{' => builder.mapping(spot),
                b'[' => builder.sequence(spot),
                b'}' | b']' => builder.close(),
                b'"' => {
                    let raw = self.string();
                    let name = || match serde_json::from_str::<String>(raw) {
                        Ok(text) if raw.contains('\\') => hash(&text),
                        _ => hash(raw.trim_matches('"')),
                    };
                    if !builder.name(name, spot) {
                        builder.value(spot);
                    }
                    continue;
                }
                b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                    builder.value(spot);
                    let is_word =
                        |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'+' | b'.');
                    while self.bytes.get(self.at).is_some_and(is_word) {
                        self.step();
                    }
                    continue;
                }
                _ => {}
            }
            self.step();
        }
        builder.index
    }

    fn step(&mut self) {
        match self.bytes.get(self.at) {
            Some(b'\n') => {
                self.line += 1;
                self.column = 1;
            }
            // Bytes inside a character are no column of their own.
            Some(byte) if byte & 0xC0 != 0x80 => self.column += 1,
            _ => {}
        }
        self.at += 1;
    }

    /// A string with its quotes.
    fn string(&mut self) -> &str {
        let start = self.at;
        self.step();
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.step(),
                b'"' => {
                    self.step();
                    break;
                }
                _ => {}
            }
            self.step();
        }
        self.text.get(start..self.at.min(self.bytes.len())).unwrap_or_default()
    }
}

fn spot(span: Span) -> (u32, u32) {
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    (number(span.start.line()), number(span.start.col() + 1))
}

/// FNV-1a, 32 bits.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn a_pointer_leads_to_its_line_in_yaml_and_json() {
        let yaml = Index::of_yaml(
            "a: 1\npaths:\n  /x/{id}:\n    get:\n      list:\n        - one\n        - two: 2\n",
            |_, _| {},
        );
        assert_eq!(yaml.find(""), Some((1, 1)));
        assert_eq!(yaml.find("/paths/~1x~1{id}/get"), Some((4, 5)));
        assert_eq!(yaml.find("/paths/~1x~1{id}/get/list/1/two"), Some((7, 11)));
        let json = "{\n  \"a\": [1, {\"b\": null}],\n  \"c\\u0064\": {\"ü\": 1, \"d\": true}\n}";
        let json = Index::of_json(json);
        assert_eq!(json.find("/a/1/b"), Some((2, 13)));
        assert_eq!(json.find("/cd/d"), Some((3, 23)));
        assert_eq!(json.find(""), Some((1, 1)));
    }

    #[test]
    fn what_is_not_there_is_where_it_should_be() {
        assert_eq!(Index::of_yaml("a: 1\nb: {c: 2}\n", |_, _| {}).find("/b/d/e"), Some((2, 1)));
        assert_eq!(Index::of_yaml("", |_, _| {}).find("/a"), None);
    }

    #[test]
    fn an_alias_and_a_merge_key_lead_to_where_the_text_stands() {
        let yaml = "base: &b\n  x: {y: 1}\nuse: *b\nmore:\n  <<: *b\n  z: 1\n";
        let index = Index::of_yaml(yaml, |_, _| {});
        assert_eq!(index.find("/use/x/y"), Some((2, 7)));
        assert_eq!(index.find("/more/x/y"), Some((2, 7)));
        assert_eq!(index.find("/more/z"), Some((6, 3)));
    }
}
