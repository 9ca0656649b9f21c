//! Nothing secret is told, whatever dies and when: words that must never be found, and the search
//! for them.
//!
//! Every life of a gateway in the kill runs carries them: bearer tokens of clients and of the
//! gateway's own account, its client secret, the ledger's key, and a card number in the bodies of
//! clients and of the vendor. Searched, each in the forms in which it could hide, are all logs at
//! the finest level, the admin side, the answers that are errors, the headers of all, what
//! `recgate ledger export` tells, and the raw bytes of the ledger: the files of a SQLite one
//! beside a running gateway, every row of every table of a PostgreSQL.
//!
//! A search that finds nothing proves nothing by itself: `what_is_planted_is_found` in [`super::kills`]
//! lives such a life and looks for words that do stand in each of these places.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;
use sqlx::{Connection, Row};

/// What every client's token begins with.
pub(super) const BEARER: &str = "canary-bearer-8d41f7";
/// The token of the account for recovery.
pub(super) const RECOVERY: &str = "canary-recovery-c2e09b";
/// That account's secret.
pub(super) const SECRET: &str = "canary-secret-61ab5e";
/// In bodies; it passes Luhn's test.
pub(super) const CARD: &str = "4539578763621486";
/// The ledger's key, a byte of it: 64 digits in its file.
pub(super) const KEY: &str = "c5";

/// Where something was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Standard error, at trace level.
    Log,
    /// The admin side's metrics.
    Metrics,
    /// Its other pages.
    Admin,
    /// Answers of 400 and above.
    Error,
    /// The headers of every answer.
    Header,
    /// What `recgate ledger export` prints.
    Export,
    /// Files, or rows, of the ledger.
    Ledger,
}

/// All of them.
pub(super) const PLACES: [Place; 7] = [
    Place::Log,
    Place::Metrics,
    Place::Admin,
    Place::Error,
    Place::Header,
    Place::Export,
    Place::Ledger,
];

/// What was found, and how much was looked at, by place.
#[derive(Debug)]
pub(super) struct Search {
    needles: Vec<(String, Finder<'static>)>,
    pub(super) bytes: BTreeMap<Place, usize>,
    pub(super) hits: BTreeMap<Place, Vec<String>>,
}

// === impl Search ===

impl Search {
    /// For the canaries.
    pub(super) fn for_canaries() -> Self {
        let basic = format!("recovery:{SECRET}");
        let key = KEY.repeat(32);
        let raw = vec![0xc5; 32];
        let mut search = Self::for_words(&[BEARER, RECOVERY, SECRET, CARD, &basic, &key]);
        search.needles.push(("the key's bytes".to_owned(), Finder::new(&raw).into_owned()));
        search
    }

    /// For words, as they are, in Base64 wherever they begin, in hexadecimal digits, and as a list
    /// of numbers.
    pub(super) fn for_words(words: &[&str]) -> Self {
        let mut needles = Vec::new();
        for word in words {
            for form in forms(word) {
                needles.push((format!("{word} as {form}"), Finder::new(&form).into_owned()));
            }
        }
        Self { needles, bytes: BTreeMap::new(), hits: BTreeMap::new() }
    }

    pub(super) fn look(&mut self, place: Place, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        *self.bytes.entry(place).or_default() += text.len();
        for (name, finder) in &self.needles {
            if let Some(at) = finder.find(text) {
                let around = &text[at.saturating_sub(160)..(at + 160).min(text.len())];
                let told = format!("{place:?}: {name}: …{}…", String::from_utf8_lossy(around));
                self.hits.entry(place).or_default().push(told);
            }
        }
    }

    /// The raw ledger at a URL.
    pub(super) async fn look_at_ledger(&mut self, url: &str) {
        let Some(path) = url.strip_prefix("sqlite:") else { return self.look_at_rows(url).await };
        for path in files_of(Path::new(path)) {
            self.look(Place::Ledger, std::fs::read(path).unwrap_or_default());
        }
    }

    async fn look_at_rows(&mut self, url: &str) {
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(url).await.unwrap();
        let tables = "SELECT CAST(relname AS TEXT) AS name FROM pg_stat_user_tables";
        let tables = sqlx::query(tables).fetch_all(&mut database).await.unwrap();
        assert!(!tables.is_empty());
        for table in tables {
            let name: String = table.get("name");
            let rows = sqlx::AssertSqlSafe(format!("SELECT CAST(t AS TEXT) AS line FROM {name} t"));
            for row in sqlx::query(rows).fetch_all(&mut database).await.unwrap() {
                self.look(Place::Ledger, row.get::<String, _>("line"));
            }
        }
        database.close().await.unwrap();
    }

    /// Takes in another's findings.
    pub(super) fn add(&mut self, other: Self) {
        for (place, bytes) in other.bytes {
            *self.bytes.entry(place).or_default() += bytes;
        }
        for (place, hits) in other.hits {
            self.hits.entry(place).or_default().extend(hits);
        }
    }

    /// Places with nothing in them: there the search says nothing.
    pub(super) fn unseen(&self) -> Vec<Place> {
        PLACES.into_iter().filter(|it| self.bytes.get(it).is_none_or(|bytes| *bytes == 0)).collect()
    }
}

/// The database, what it has not taken in yet, and its index of that; not the key, which is beside
/// it on purpose.
fn files_of(path: &Path) -> Vec<PathBuf> {
    let ends = ["", "-wal", "-shm", ".lock"];
    ends.iter().map(|end| PathBuf::from(format!("{}{end}", path.display()))).collect()
}

/// A word in every form in which it could stand somewhere.
fn forms(word: &str) -> Vec<String> {
    let bytes = word.as_bytes();
    let mut forms = vec![word.to_owned()];
    forms.push(hex(bytes));
    forms.push(bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
    forms.push(bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(","));
    for before in 0..3 {
        let mut text = vec![0; before];
        text.extend_from_slice(bytes);
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            // The characters at both ends hold bits of the neighbours.
            let start = [0, 2, 3][before];
            let end = encoded.len() - usize::from(text.len() % 3 != 0);
            forms.push(encoded[start..end].to_owned());
        }
    }
    forms.dedup();
    forms
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn a_word_is_found_in_every_form() {
    let hex = hex(BEARER.as_bytes());
    let mut texts = vec![format!("a {BEARER}-7 b"), hex, format!("{:?}", BEARER.as_bytes())];
    for before in ["", "a", "ab", "Bearer ", "recovery:"] {
        let whole = format!("{before}{BEARER} and more");
        texts.extend([STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)]);
    }
    for text in texts {
        let mut search = Search::for_canaries();
        search.look(Place::Log, &text);
        assert_eq!(search.hits.len(), 1, "{text}");
    }
    let mut search = Search::for_canaries();
    search.look(Place::Log, "canary-bearer- 4539 5787 and nothing");
    assert!(search.hits.is_empty());
}
