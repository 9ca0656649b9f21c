//! The configuration: read, laid over with variables and flags, and checked.
//!
//! [`raw`] mirrors the file, [`layers`] puts file, environment and flags together, [`checking`]
//! finds the faults, [`checked`] is what the rest of the program sees: values that make sense
//! together. `config.toml` is compiled in; it is the default and the manual.

pub mod account;
pub mod checked;
pub mod checking;
pub mod deprecation;
pub mod error;
pub mod layers;
pub mod ledger;
pub mod listeners;
pub mod network;
pub mod raw;
pub mod reserved;
pub mod subscription;
#[cfg(test)]
mod tests;
pub mod trigger;
mod value;

pub use checked::Config;
pub use error::ConfigError;
pub use layers::Layers;

/// The built-in `config.toml`.
pub const BUILT_IN: &str = include_str!("../config.toml");
