//! Logs: to standard error, as text or JSON. Secrets and bodies never reach them: no type that
//! holds one prints it, and of a panic only its place is told.

mod access;
mod gathered;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

pub(crate) use self::access::Answered;
use self::gathered::Log as Out;
pub(crate) use self::gathered::{gather, write_out};
use crate::config::raw::{Log, LogFormat, LogLevel};

/// Starts logging. A second call changes nothing.
pub fn log_to_stderr(log: &Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries stay quiet unless everything is wanted: at trace they print what passes by.
    let filter = EnvFilter::new(format!("warn,recgate={level}"));
    let colours = io::stderr().is_terminal();
    let subscriber = fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(Out)
        // It would say on standard error that standard error cannot be written, and panic.
        .log_internal_errors(false);
    // It fails where logging has been started before, which is what was wanted.
    let _ = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    if log.format == LogFormat::Text && !colours {
        access::plainly();
    }
    std::panic::set_hook(Box::new(|panic| {
        // Where, and not what: the text of a panic may hold what a body held.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%place, "a fault of this program");
    }));
}
