//! The line that every exchange leaves in a log of text.
//!
//! It looks as the library's own lines do, and takes a third of their time: the date is put together
//! once a second, and nothing is asked about colours. Every field of it is recgate's own text (a
//! name out of the configuration, a template out of a contract, a number), so that nothing has to be
//! escaped. All other lines are the library's.

use std::cell::Cell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whose lines these are.
const TARGET: &str = "recgate::access";

/// `2026-09-20T12:00:00`
const SECOND: usize = 19;

/// Lines of text.
#[derive(Default)]
pub(super) struct Lines {
    others: Format<Full>,
}

/// The fields of one line.
struct Fields<'w> {
    line: Writer<'w>,
    first: bool,
    written: fmt::Result,
}

// === impl Lines ===

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let plain = meta.target() == TARGET && *meta.level() == Level::INFO;
        if !plain || line.has_ansi_escapes() {
            return self.others.format_event(context, line, event);
        }
        now(&mut line)?;
        line.write_str("  INFO recgate::access: ")?;
        let mut fields = Fields { line: line.by_ref(), first: true, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        line.write_char('\n')
    }
}

// === impl Fields ===

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.written.is_ok() {
            self.written = self.write(field, value);
        }
    }
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.line.write_char(' ')?;
        }
        if field.name() != "message" {
            self.line.write_str(field.name())?;
            self.line.write_char('=')?;
        }
        write!(self.line, "{value:?}")
    }
}

/// The time in UTC, to the microsecond.
fn now(line: &mut Writer<'_>) -> fmt::Result {
    thread_local! {
        static LAST: Cell<(u64, [u8; SECOND])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let (mut last, mut text) = LAST.get();
    if last != seconds {
        let whole = i64::try_from(seconds).ok().and_then(|it| Timestamp::from_second(it).ok());
        let whole = whole.unwrap_or_default().to_string();
        if let Some(date) = whole.as_bytes().first_chunk() {
            (last, text) = (seconds, *date);
            LAST.set((last, text));
        }
    }
    line.write_str(std::str::from_utf8(&text).unwrap_or_default())?;
    let mut rest = *b".000000Z";
    let mut left = micros;
    for digit in rest[1..7].iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
    }
    line.write_str(std::str::from_utf8(&rest).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;

    use super::Lines;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged, without the time.
    fn logged(ours: bool) -> Vec<String> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = fmt().with_ansi(false).with_writer(move || writer.clone());
        let log = || {
            let client = "a client";
            tracing::info!(
                target: "recgate::access",
                exchange = %7, %client, status = 200_u16, ms = 3_u128, "answered"
            );
            tracing::info!(target: "recgate::access", said = client, "other");
            tracing::warn!(target: "recgate::access", why = ?"\x1b[31m", "not ours");
        };
        if ours {
            tracing::subscriber::with_default(
                subscriber.event_format(Lines::default()).finish(),
                log,
            );
        } else {
            tracing::subscriber::with_default(subscriber.finish(), log);
        }
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| {
                let (time, rest) = line.split_at("2026-09-20T12:00:00.000000Z".len());
                let time: jiff::Timestamp = time.parse().unwrap();
                assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 3_600);
                rest.to_owned()
            })
            .collect()
    }

    #[test]
    fn a_line_is_the_librarys() {
        assert_eq!(logged(true), logged(false));
    }
}
