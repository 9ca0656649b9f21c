//! The file as a stream: only the entry that is being read is in memory, and both have a bound.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Entry, HarError, RecordedBody, entry, surrogates::Whole};
use crate::limits;

/// How many bytes may still come, of the file and of the entry.
#[derive(Debug)]
struct Budget {
    file: Cell<u64>,
    entry: Cell<u64>,
    spent: Cell<Option<Spent>>,
}

#[derive(Clone, Copy, Debug)]
enum Spent {
    File,
    Entry,
}

struct Metered<R> {
    inner: R,
    budget: Rc<Budget>,
}

/// What the visitors share.
struct Reading<'a, F> {
    name: &'a Arc<str>,
    budget: &'a Budget,
    on_entry: RefCell<F>,
    /// Entries begun.
    count: Cell<usize>,
    /// Entries lists found.
    lists: Cell<usize>,
    fault: RefCell<Option<HarError>>,
    /// The entry that is being read holds half a surrogate pair.
    half: Rc<Cell<bool>>,
}

/// Which object or list comes next.
enum Level {
    Root,
    Log,
    Entries,
}

struct Seed<'r, 'a, F> {
    reading: &'r Reading<'a, F>,
    level: Level,
}

pub(super) fn read(
    name: &Arc<str>,
    source: impl Read,
    on_entry: impl FnMut(Entry),
) -> Result<usize, HarError> {
    let budget = Rc::new(Budget {
        file: Cell::new(limits::HAR_BYTES),
        entry: Cell::new(limits::HAR_ENTRY_BYTES),
        spent: Cell::new(None),
    });
    let reading = Reading {
        name,
        budget: &budget,
        on_entry: RefCell::new(on_entry),
        count: Cell::new(0),
        lists: Cell::new(0),
        fault: RefCell::new(None),
        half: Rc::default(),
    };
    let source = without_mark(BufReader::with_capacity(64 * 1024, source))
        .map_err(|error| reading.error(&error.to_string()))?;
    let source = Whole::new(source, Rc::clone(&reading.half));
    let metered = Metered { inner: source, budget: Rc::clone(&budget) };
    let mut json = serde_json::Deserializer::from_reader(metered);
    let read = Seed { reading: &reading, level: Level::Root }
        .deserialize(&mut json)
        .and_then(|()| json.end());
    if let Some(fault) = reading.fault.take() {
        return Err(fault);
    }
    if let Err(error) = read {
        return Err(reading.explain(&error));
    }
    if reading.lists.get() == 0 {
        let fault = reading.error("is no HAR: it has no list of entries there");
        return Err(HarError { pointer: "/log/entries".to_owned(), ..fault });
    }
    Ok(reading.count.get())
}

/// Some tools write a byte order mark.
fn without_mark(mut source: impl Read) -> io::Result<impl Read> {
    let mut first = Vec::with_capacity(3);
    source.by_ref().take(3).read_to_end(&mut first)?;
    if first == *b"\xef\xbb\xbf" {
        first.clear();
    }
    Ok(io::Cursor::new(first).chain(source))
}

/// What stands for half a pair is not what was sent.
fn unknown_by_its_bytes(body: &mut RecordedBody) {
    let replaced = '\u{fffd}'.to_string();
    if let RecordedBody::Whole(bytes) = body
        && bytes.windows(replaced.len()).any(|it| it == replaced.as_bytes())
    {
        *body = RecordedBody::Missing;
    }
}

// === impl Metered ===

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = read as u64;
        for (left, spent) in [(&self.budget.file, Spent::File), (&self.budget.entry, Spent::Entry)]
        {
            let Some(rest) = left.get().checked_sub(bytes) else {
                self.budget.spent.set(Some(spent));
                return Err(io::Error::from(io::ErrorKind::FileTooLarge));
            };
            left.set(rest);
        }
        Ok(read)
    }
}

// === impl Reading ===

impl<F: FnMut(Entry)> Reading<'_, F> {
    fn error(&self, message: &str) -> HarError {
        HarError {
            file: Arc::clone(self.name),
            entry: 0,
            pointer: String::new(),
            message: message.to_owned(),
        }
    }

    /// What serde says of data holds values, so only its words about syntax are repeated.
    fn explain(&self, error: &serde_json::Error) -> HarError {
        let message = match self.budget.spent.get() {
            Some(Spent::File) => format!("has more than {} bytes", limits::HAR_BYTES),
            Some(Spent::Entry) => format!("has more than {} bytes", limits::HAR_ENTRY_BYTES),
            None if error.is_data() => {
                format!("is no HAR: something else was expected at line {}", error.line())
            }
            None => format!("is no JSON: {error}"),
        };
        let entry = match self.budget.spent.get() {
            Some(Spent::File) => 0,
            _ => self.count.get(),
        };
        let pointer =
            if entry == 0 { String::new() } else { format!("/log/entries/{}", entry - 1) };
        HarError { entry, pointer, ..self.error(&message) }
    }

    fn take(&self, value: Value) -> bool {
        match entry::read(self.name, self.count.get(), value) {
            Ok(mut entry) => {
                if self.half.take() {
                    unknown_by_its_bytes(&mut entry.body);
                    entry.answer.iter_mut().for_each(|it| unknown_by_its_bytes(&mut it.body));
                }
                (self.on_entry.borrow_mut())(entry);
                true
            }
            Err(fault) => {
                self.fault.replace(Some(fault));
                false
            }
        }
    }

    fn member<'de, M: MapAccess<'de>>(
        &self,
        mut map: M,
        name: &str,
        level: fn() -> Level,
    ) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == name {
                map.next_value_seed(Seed { reading: self, level: level() })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            self.budget.entry.set(limits::HAR_ENTRY_BYTES);
        }
        Ok(())
    }
}

// === impl Seed ===

impl<'de, F: FnMut(Entry)> DeserializeSeed<'de> for Seed<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.level {
            Level::Root | Level::Log => deserializer.deserialize_map(self),
            Level::Entries => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de, F: FnMut(Entry)> Visitor<'de> for Seed<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a HAR")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        match self.level {
            Level::Root => self.reading.member(map, "log", || Level::Log),
            Level::Log | Level::Entries => self.reading.member(map, "entries", || Level::Entries),
        }
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        let reading = self.reading;
        reading.lists.set(reading.lists.get() + 1);
        loop {
            reading.budget.entry.set(limits::HAR_ENTRY_BYTES);
            reading.half.set(false);
            // Counted before it is read, so that what breaks it is told with its number.
            reading.count.set(reading.count.get() + 1);
            let Some(value) = list.next_element::<Value>()? else { break };
            if !reading.take(value) {
                return Err(serde::de::Error::custom("an entry"));
            }
        }
        reading.count.set(reading.count.get() - 1);
        Ok(())
    }
}
