//! Bodies of any size, and the contract that they keep.

use std::fmt::Write as _;

use recgate::contract::{ContractDate, Source, Timeline};

/// The document that judges them.
pub(crate) const DOCUMENT: &str = include_str!("recordings.openapi.yaml");

/// The contract of [`DOCUMENT`].
pub(crate) fn timeline() -> Timeline {
    let name = "benches/material/recordings.openapi.yaml".to_owned();
    Timeline::load(&Source { name, text: DOCUMENT.into() }, &[]).expect("our own document loads")
}

/// A page of recordings of at least so many bytes, and less than 900 more. It conforms.
pub(crate) fn page(bytes: usize) -> Vec<u8> {
    let mut text = String::from("{\"entities\":[");
    let mut total: u64 = 0;
    while text.len() + 80 < bytes {
        if total > 0 {
            text.push(',');
        }
        recording(&mut text, total);
        total += 1;
    }
    let _ = write!(text, "],\"pageNumber\":1,\"pageSize\":25,\"total\":{total},\"nextUri\":null}}");
    text.into_bytes()
}

fn recording(text: &mut String, number: u64) {
    let id = format!("c0000000-0000-4000-8000-{number:012}");
    let _ = write!(
        text,
        "{{\"id\":\"{id}\",\"conversationId\":\"{id}\",\"startTime\":\"2026-11-20T09:30:00.123Z\",\
         \"endTime\":null,\"media\":\"audio\",\"fileState\":\"AVAILABLE\",\
         \"recordingFileRole\":\"CUSTOMER_EXPERIENCE\",\"deletionProtected\":true,\
         \"sizeBytes\":{},\"durationMs\":81234.5,\"phone\":\"tel:+4930123456\",\"language\":\"de-DE\",\
         \"selfUri\":\"/api/v2/recordings/{id}\",\"users\":[{{\"id\":\"{id}\",\"name\":\"Ada Example\",\
         \"email\":\"ada@example.com\",\"division\":{{\"id\":\"7\",\"name\":null}}}}],\"annotations\":[{{\
         \"type\":\"pause\",\"offsetMs\":1200,\"durationMs\":800}},{{\"type\":\"note\",\
         \"text\":\"paid by card, \\\"thank you\\\"\"}}],\"mediaUris\":{{\"0\":{{\"mediaUri\":\
         \"https://example.com/media/{number}?token=0123456789abcdef\",\"waveformData\":[0,0.25,-0.5,1]}}}}}}",
        9_007_199_254_740_993_u64 + number,
    );
}

/// The newest contract of a timeline.
pub(crate) const LATEST: ContractDate = ContractDate::Latest;
