//! Content codings: a body as it was before it was compressed, for checking only.
//!
//! The original bytes go on; what is made here is judged and dropped. gzip, deflate (RFC 9110
//! §8.4.1), br (RFC 7932) and zstd (RFC 8878, window at most 8 MiB as RFC 9659 asks) and chains of
//! them are undone, each step up to what the body's own length allows ([`allowed`]), so that a bomb
//! costs no more than that and ends as `unverifiable(size)`. A coding that is none of these is
//! `unverifiable(content-encoding)`.

use std::{borrow::Cow, io::Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use crate::limits;

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// Nobody here knows this coding, or there are too many in a row.
    Unknown,
    /// It is longer than the limit.
    TooLong,
    /// It is not what its coding says.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// log2 of the largest zstd window that is decoded, in bytes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How many times longer than it came most JSON is once it is decoded.
const USUAL_FACTOR: usize = 8;

/// What is decoded at a time.
const STEP_BYTES: usize = 16 << 10;

/// Undoes what `Content-Encoding` says was done.
pub(crate) fn decode<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Undecoded> {
    let mut codings = Vec::new();
    for line in headers.get_all(header::CONTENT_ENCODING) {
        let line = line.to_str().map_err(|_| Undecoded::Unknown)?;
        for name in line.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            if !name.eq_ignore_ascii_case("identity") {
                codings.push(Coding::parse(name).ok_or(Undecoded::Unknown)?);
            }
        }
    }
    if codings.len() > limits::CONTENT_CODINGS {
        return Err(Undecoded::Unknown);
    }
    let (mut decoded, allowed) = (Cow::Borrowed(body), allowed(body.len()));
    // RFC 9110 §8.4: listed in the order in which they were applied.
    for coding in codings.into_iter().rev() {
        decoded = Cow::Owned(coding.undo(&decoded, allowed)?);
    }
    Ok(decoded)
}

/// Whether JSON that came compressed holds more values than it may: reading it would take many times
/// its own length, and many more times what came. Commas in texts count, too.
pub(crate) fn is_dense(came: &[u8], decoded: &[u8]) -> bool {
    let begins = |byte: &&u8| matches!(byte, b',' | b'[' | b'{');
    let most = came.len().saturating_mul(2).max(limits::DECODED_VALUES);
    decoded.len() > most && decoded.iter().filter(begins).count() > most
}

/// How long a body of so many bytes may be once it is decoded, after each of its codings.
fn allowed(bytes: usize) -> usize {
    let (least, most) = (*limits::DECODED_BODY_BYTES.start(), *limits::DECODED_BODY_BYTES.end());
    bytes.saturating_mul(limits::DECODED_FACTOR).clamp(least, most)
}

// === impl Coding ===

impl Coding {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// What is longer than JSON usually is once it is decoded is decoded twice: first its length is
    /// found, because a bomb shows itself by that and nothing of it needs to be kept.
    fn undo(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Undecoded> {
        let usual = bytes.len().saturating_mul(USUAL_FACTOR).min(limit);
        let first = self.decode(bytes, Decoded::new(usual, limit))?;
        if first.length <= first.keeps {
            return Ok(first.kept);
        }
        self.decode(bytes, Decoded::new(first.length, limit)).map(|it| it.kept)
    }

    fn decode(self, bytes: &[u8], into: Decoded) -> Result<Decoded, Undecoded> {
        match self {
            Self::Gzip => whole(bytes, |rest| into.read(MultiGzDecoder::new(rest))),
            // RFC 9110 §8.4.1.2 means zlib; some send the bare stream.
            Self::Deflate if bytes.first().is_some_and(|it| it & 0x0F == 8) => {
                whole(bytes, |rest| into.read(ZlibDecoder::new(rest)))
            }
            Self::Deflate => whole(bytes, |rest| into.read(DeflateDecoder::new(rest))),
            Self::Brotli => brotli(bytes, into),
            Self::Zstd => {
                let broken = |_| Undecoded::Broken;
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
                into.read(decoder)
            }
        }
    }
}

/// Decodes all of the bytes: what stands behind the end of the coding was looked at by nobody.
fn whole(
    bytes: &[u8],
    decode: impl FnOnce(&mut &[u8]) -> Result<Decoded, Undecoded>,
) -> Result<Decoded, Undecoded> {
    let mut rest = bytes;
    let decoded = decode(&mut rest)?;
    if rest.is_empty() { Ok(decoded) } else { Err(Undecoded::Broken) }
}

/// brotli's own reader takes bytes ahead and drops them at the end: one would not know of them.
fn brotli(bytes: &[u8], mut into: Decoded) -> Result<Decoded, Undecoded> {
    let memory = StandardAlloc::default;
    let mut state = BrotliState::new_strict(memory(), memory(), memory());
    let (mut left, mut at, mut total) = (bytes.len(), 0, 0);
    let mut step = vec![0; STEP_BYTES];
    loop {
        let (mut room, mut made) = (step.len(), 0);
        let result = BrotliDecompressStream(
            &mut left, &mut at, bytes, &mut room, &mut made, &mut step, &mut total, &mut state,
        );
        into.take(&step[..made])?;
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(into),
            BrotliResult::NeedsMoreOutput => {}
            _ => return Err(Undecoded::Broken),
        }
    }
}

/// What has been decoded: its bytes, as long as they are few enough to be kept, and its length.
struct Decoded {
    kept: Vec<u8>,
    /// How many are kept at most.
    keeps: usize,
    length: usize,
    limit: usize,
}

// === impl Decoded ===

impl Decoded {
    /// Nothing yet. What no byte was written to takes no memory.
    fn new(keeps: usize, limit: usize) -> Self {
        Self { kept: Vec::with_capacity(keeps), keeps, length: 0, limit }
    }

    fn take(&mut self, more: &[u8]) -> Result<(), Undecoded> {
        self.length += more.len();
        if self.length > self.limit {
            return Err(Undecoded::TooLong);
        }
        if self.length <= self.keeps {
            self.kept.extend_from_slice(more);
        } else {
            self.kept = Vec::new();
        }
        Ok(())
    }

    fn read(mut self, mut from: impl Read) -> Result<Self, Undecoded> {
        let mut step = vec![0; STEP_BYTES];
        loop {
            match from.read(&mut step) {
                Ok(0) => return Ok(self),
                Ok(made) => self.take(&step[..made])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Undecoded::Broken),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::io::Read;

    use flate2::{
        Compression,
        bufread::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    use super::{Coding, Undecoded, decode};
    use crate::limits;

    fn all(mut reader: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn headers(codings: &[&str]) -> HeaderMap {
        let lines = codings.iter().map(|it| HeaderValue::from_str(it).unwrap());
        lines.map(|it| (header::CONTENT_ENCODING, it)).fold(HeaderMap::new(), |mut map, (k, v)| {
            map.append(k, v);
            map
        })
    }

    #[test]
    fn codings_and_their_chains_are_undone() {
        let body = br#"{"a": 1}"#;
        let gzip = all(GzEncoder::new(&body[..], Compression::fast()));
        let zlib = all(ZlibEncoder::new(&body[..], Compression::fast()));
        let bare = all(DeflateEncoder::new(&body[..], Compression::fast()));
        let zstd = zstd::encode_all(&body[..], 1).unwrap();
        let both = zstd::encode_all(&gzip[..], 1).unwrap();
        // The eight bytes as they stand, in one metablock: what an encoder without a will writes.
        let br = [&[0x8B, 0x03, 0x80][..], body, &[0x03]].concat();
        for (codings, bytes) in [
            (&["gzip"][..], &gzip),
            (&["X-GZIP, identity"], &gzip),
            (&["deflate"], &zlib),
            (&["deflate"], &bare),
            (&["zstd"], &zstd),
            (&["br"], &br),
            (&["gzip, zstd"], &both),
            (&["gzip", "zstd"], &both),
            (&["identity"], &body.to_vec()),
            (&[], &body.to_vec()),
        ] {
            assert_eq!(decode(&headers(codings), bytes).unwrap(), &body[..], "{codings:?}");
        }
        let two = [&gzip[..], &gzip[..]].concat();
        assert_eq!(decode(&headers(&["gzip"]), &two).unwrap(), body.repeat(2));
        assert_eq!(decode(&headers(&["gzip"]), body), Err(Undecoded::Broken));
        for (coding, bytes) in [("gzip", &gzip), ("deflate", &zlib), ("br", &br), ("zstd", &zstd)] {
            let cut = decode(&headers(&[coding]), &bytes[..bytes.len() - 1]);
            assert_eq!(cut, Err(Undecoded::Broken), "{coding}");
            assert_eq!(decode(&headers(&[coding]), b""), Err(Undecoded::Broken), "{coding}");
        }
        for (coding, bytes) in
            [("gzip", &gzip), ("deflate", &zlib), ("deflate", &bare), ("br", &br), ("zstd", &zstd)]
        {
            for behind in [&b"x"[..], &[0], &[0x55; 9_000]] {
                let longer = [&bytes[..], behind].concat();
                let more = decode(&headers(&[coding]), &longer);
                assert_eq!(more, Err(Undecoded::Broken), "{coding} and {} bytes", behind.len());
            }
        }
        assert_eq!(decode(&headers(&["compress"]), body), Err(Undecoded::Unknown));
        assert_eq!(decode(&headers(&["gzip,gzip,gzip,gzip,gzip"]), body), Err(Undecoded::Unknown));
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let gzip = gzipped(zeros(*limits::DECODED_BODY_BYTES.start() + 1));
        assert!(gzip.len() < 2_000);
        assert_eq!(decode(&headers(&["gzip"]), &gzip), Err(Undecoded::TooLong));
        let zstd = zstd::encode_all(zeros(*limits::DECODED_BODY_BYTES.start() + 1), 1).unwrap();
        assert_eq!(decode(&headers(&["zstd"]), &zstd), Err(Undecoded::TooLong));
        // In two steps: what counts is what came.
        let twice = gzipped(&*gzipped(zeros(*limits::DECODED_BODY_BYTES.start() + 1)));
        assert_eq!(decode(&headers(&["gzip, gzip"]), &twice), Err(Undecoded::TooLong));
    }

    #[test]
    fn what_may_come_out_goes_by_what_came_in() {
        let (least, most) = limits::DECODED_BODY_BYTES.into_inner();
        let of = |bytes| super::allowed(bytes);
        assert_eq!((of(0), of(1), of(usize::MAX)), (least, least, most));
        assert_eq!(of(least / 10), least / 10 * limits::DECODED_FACTOR);
        // Up to the least anything may come out, and takes no more room than it has bytes.
        let decoded = decode(&headers(&["gzip"]), &gzipped(zeros(least))).unwrap().into_owned();
        assert_eq!((decoded.len(), decoded.capacity()), (least, least));
        // A page that is compressed to a tenth is checked, however long it is.
        let page: Vec<u8> = (0..200_000_u64)
            .flat_map(|it| {
                format!("{{\"id\": \"{:016x}\"}},", it.wrapping_mul(1 << 40 | 0x9E37)).into_bytes()
            })
            .collect();
        let gzip = gzipped(&*page);
        assert!(page.len() > 10 * least && page.len() < most, "{}", page.len());
        assert_eq!(decode(&headers(&["gzip"]), &gzip).unwrap(), page);
    }

    #[test]
    fn more_values_than_bytes_are_too_many() {
        let dense =
            |values: usize, came: usize| super::is_dense(&vec![0; came], &b"1,".repeat(values));
        assert!(!dense(limits::DECODED_VALUES, 0) && dense(limits::DECODED_VALUES + 1, 0));
        assert!(!dense(60_000, 30_000) && dense(60_001, 30_000));
    }

    fn zeros(count: usize) -> impl Read {
        std::io::repeat(0).take(count as u64)
    }

    fn gzipped(bytes: impl Read) -> Vec<u8> {
        all(GzEncoder::new(std::io::BufReader::new(bytes), Compression::best()))
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
                let _ = coding.undo(&bytes, 10_000);
            }
        }
    }
}
