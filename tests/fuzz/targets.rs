//! What is fuzzed: each target takes any bytes and asserts what must hold whatever they are.
//!
//! A target is a function of the library's own, so that it may call what the library keeps to
//! itself; it is compiled for tests and for the fuzz programs only, and no release has it. The
//! programs in `tests/fuzz` search for inputs that break an assertion; the corpus beside them,
//! with every input that once did, is replayed here in each run of the tests.

#![allow(
    missing_docs,
    clippy::format_push_string,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc
)]

#[path = "targets/document.rs"]
mod document;
#[path = "targets/json.rs"]
mod json;
#[path = "targets/multipart.rs"]
mod multipart;
#[path = "targets/parameters.rs"]
mod parameters;

pub use document::document;
pub use json::json;
pub use multipart::multipart;
pub use parameters::parameters;

use crate::json::Node;

/// The first line of an input chooses what the rest is given to.
fn first_line(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&data[..end]).ok()?, &data[end + 1..]))
}

/// Calls for a value and everything in it.
fn each(node: &Node<'_>, visit: &mut impl FnMut(&Node<'_>)) {
    visit(node);
    match node {
        Node::Array(elements) => elements.iter().for_each(|it| each(it, visit)),
        Node::Object(members) => members.iter().for_each(|(_, it)| each(it, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod replay {
    use std::{fs, path::Path, time::Instant};

    /// Far beyond what any of these small inputs takes, even on a busy machine in a debug build.
    const SECONDS: u64 = 120;

    #[track_caller]
    fn replay(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
        let mut paths: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(paths.len() >= 10, "{} has lost its inputs", folder.display());
        for path in paths {
            let input = fs::read(&path).unwrap();
            println!("{}", path.display());
            let start = Instant::now();
            target(&input);
            // Cut short and with a byte changed, it is another input.
            target(&input[..input.len() / 2]);
            let mut changed = input;
            if let Some(byte) = changed.last_mut() {
                *byte ^= 1;
            }
            target(&changed);
            assert!(start.elapsed().as_secs() < SECONDS, "{}", path.display());
        }
    }

    #[test]
    fn json() {
        replay("json", super::json);
    }

    #[test]
    fn multipart() {
        replay("multipart", super::multipart);
    }

    #[test]
    fn parameters() {
        replay("parameters", super::parameters);
    }

    #[test]
    fn document() {
        replay("document", super::document);
    }
}
