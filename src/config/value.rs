//! Values that several tables write alike: lengths of time, and secrets, which never stand in the
//! configuration.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

/// A length of time as people write it: `5s`, `2h`. `None` where it is none, or negative.
pub(super) fn span(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

/// The secret that a variable of the environment holds. An error says what to do.
pub(super) fn secret_of_variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the variable {name} is not set"))
}

/// The secret that is a file's first line. An error says what to do.
pub(super) fn secret_of_file(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
