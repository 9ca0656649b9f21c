//! Every bound on what input can make grow, with its unit in its name.
//!
//! A limit that an operator may move is a default here and a key in `config.toml`; a limit that
//! protects the program from its own inputs (JSON depth, findings a message) is a constant only.

/// Nesting of arrays and objects in a JSON body before it is refused or `unverifiable`.
pub const JSON_DEPTH: usize = 128;

/// Findings reported for one message; the rest are counted in the last one.
pub const FINDINGS_PER_MESSAGE: usize = 32;
