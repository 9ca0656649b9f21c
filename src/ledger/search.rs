//! Records by client, conversation and time, for `recgate ledger show` and `export`.
//!
//! Time is asked of the database; who and what stands in the records' JSON and is looked at here,
//! page by page, so that the hashed text needs no second copy of itself in columns.

use jiff::Timestamp;
use serde_json::Value;

use super::OpenError;
use super::body::subject;
use super::read;
use super::record::Record;
use super::settings::Settings;
use super::store::{Purpose, Store};
use crate::limits::LEDGER_VERIFY_PAGE;

/// What is looked for. What is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The client's name.
    pub client: Option<String>,
    /// The conversation or recording.
    pub subject: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Hands over the records that match, oldest first, until `then` has had enough of them.
pub async fn search<E: From<OpenError>>(
    settings: &Settings,
    filter: &Filter,
    mut then: impl FnMut(&Record) -> Result<(), E>,
) -> Result<(), E> {
    let opened = Store::open(&settings.place, Purpose::Read).await;
    let mut store = opened.map_err(OpenError::from)?;
    store.begin_reading().await.map_err(OpenError::from)?;
    let page = format!(
        "WHERE (at, writer, seq) > ($1, $2, $3) AND at >= $4 AND at < $5 \
         ORDER BY at, writer, seq LIMIT {LEDGER_VERIFY_PAGE}"
    );
    let since = filter.since.map_or(i64::MIN, Timestamp::as_microsecond);
    let mut after = (i64::MIN, String::new(), 0);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_microsecond);
    let wanted = filter.subject.as_deref().map(subject);
    loop {
        let select = read::select(&page).with(after.0).with(&*after.1).with(after.2);
        let select = select.with(since).with(until);
        let rows = store.rows(select).await.map_err(OpenError::from)?;
        let Some(last) = rows.last() else { break };
        let last = read::record(last).map_err(OpenError::from)?;
        after = (last.at, last.writer.to_string(), i64::try_from(last.seq).unwrap_or(i64::MAX));
        for row in &rows {
            let record = read::record(row).map_err(OpenError::from)?;
            if matches(&record, filter.client.as_deref(), wanted.as_deref()) {
                then(&record)?;
            }
        }
    }
    store.close().await;
    Ok(())
}

fn matches(record: &Record, client: Option<&str>, wanted: Option<&str>) -> bool {
    if client.is_none() && wanted.is_none() {
        return true;
    }
    let says: Value = serde_json::from_str(&record.body).unwrap_or_default();
    let of_client = client.is_none_or(|client| says["client"] == client);
    let about = |wanted: &str| {
        let one = says["subject"] == wanted;
        one || says["subjects"].as_array().is_some_and(|all| all.iter().any(|it| it == wanted))
    };
    of_client && wanted.is_none_or(about)
}

/// A record in one line: when, what, who, and about what.
#[must_use]
pub fn line(record: &Record) -> String {
    let says: Value = serde_json::from_str(&record.body).unwrap_or_default();
    let word = |key: &str| says[key].as_str().unwrap_or_default().to_owned();
    let subjects: Vec<&str> = match says["subjects"].as_array() {
        Some(all) => all.iter().filter_map(Value::as_str).collect(),
        None => says["subject"].as_str().into_iter().collect(),
    };
    let what = match &*record.kind {
        "intent" => word("action"),
        "outcome" => format!("{} {}", word("action"), word("outcome")),
        "record" => word("event"),
        "adopted" => format!("{} intents of {}", count(&says["intents"]), word("writer")),
        "checkpoint" => format!("removed what was before {}", word("before")),
        _ => word("instance"),
    };
    let more = subjects.len().saturating_sub(2);
    let mut about = subjects.into_iter().take(2).map(str::to_owned).collect::<Vec<_>>();
    if more > 0 {
        about.push(format!("and {more} more"));
    }
    let about = about.join(" ");
    let at = record.time().strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let line = format!("{at}  {:<10}  {:<28}  {:<16}  {about}", record.kind, what, word("client"));
    line.trim_end().to_owned()
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}
