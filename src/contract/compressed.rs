//! Content codings: a body as it was before it was compressed, for checking only.
//!
//! The original bytes go on; what is made here is judged and dropped. gzip, deflate (RFC 9110
//! §8.4.1), br (RFC 7932) and zstd (RFC 8878, window at most 8 MiB as RFC 9659 asks) and chains of
//! them are undone up to [`limits::DECODED_BODY_BYTES`] a step, so a bomb costs that much and ends
//! as `unverifiable(size)`. A coding that is none of these is `unverifiable(content-encoding)`.

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

/// What brotli decodes at a time.
const BROTLI_STEP_BYTES: usize = 16 << 10;

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
    let mut decoded = Cow::Borrowed(body);
    // RFC 9110 §8.4: listed in the order in which they were applied.
    for coding in codings.into_iter().rev() {
        decoded = Cow::Owned(coding.undo(&decoded, limits::DECODED_BODY_BYTES)?);
    }
    Ok(decoded)
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

    fn undo(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Undecoded> {
        match self {
            Self::Gzip => whole(bytes, |rest| read(MultiGzDecoder::new(rest), limit)),
            // RFC 9110 §8.4.1.2 means zlib; some send the bare stream.
            Self::Deflate if bytes.first().is_some_and(|it| it & 0x0F == 8) => {
                whole(bytes, |rest| read(ZlibDecoder::new(rest), limit))
            }
            Self::Deflate => whole(bytes, |rest| read(DeflateDecoder::new(rest), limit)),
            Self::Brotli => brotli(bytes, limit),
            Self::Zstd => {
                let broken = |_| Undecoded::Broken;
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
                read(decoder, limit)
            }
        }
    }
}

/// Decodes all of the bytes: what stands behind the end of the coding was looked at by nobody.
fn whole(
    bytes: &[u8],
    decode: impl FnOnce(&mut &[u8]) -> Result<Vec<u8>, Undecoded>,
) -> Result<Vec<u8>, Undecoded> {
    let mut rest = bytes;
    let decoded = decode(&mut rest)?;
    if rest.is_empty() { Ok(decoded) } else { Err(Undecoded::Broken) }
}

/// brotli's own reader takes bytes ahead and drops them at the end: one would not know of them.
fn brotli(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Undecoded> {
    let memory = StandardAlloc::default;
    let mut state = BrotliState::new_strict(memory(), memory(), memory());
    let (mut left, mut at, mut total) = (bytes.len(), 0, 0);
    let mut decoded = Vec::new();
    let mut step = vec![0; BROTLI_STEP_BYTES];
    loop {
        let (mut room, mut made) = (step.len(), 0);
        let result = BrotliDecompressStream(
            &mut left, &mut at, bytes, &mut room, &mut made, &mut step, &mut total, &mut state,
        );
        decoded.extend_from_slice(&step[..made]);
        if decoded.len() > limit {
            return Err(Undecoded::TooLong);
        }
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(decoded),
            BrotliResult::NeedsMoreOutput => {}
            _ => return Err(Undecoded::Broken),
        }
    }
}

fn read(reader: impl Read, limit: usize) -> Result<Vec<u8>, Undecoded> {
    let mut decoded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(most).read_to_end(&mut decoded).map_err(|_| Undecoded::Broken)?;
    if decoded.len() > limit { Err(Undecoded::TooLong) } else { Ok(decoded) }
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
        let zeros = std::io::repeat(0).take(limits::DECODED_BODY_BYTES as u64 + 1);
        let gzip = all(GzEncoder::new(std::io::BufReader::new(zeros), Compression::best()));
        assert!(gzip.len() < 20_000);
        assert_eq!(decode(&headers(&["gzip"]), &gzip), Err(Undecoded::TooLong));
        let zeros = std::io::repeat(0).take(limits::DECODED_BODY_BYTES as u64 + 1);
        let zstd = zstd::encode_all(zeros, 1).unwrap();
        assert_eq!(decode(&headers(&["zstd"]), &zstd), Err(Undecoded::TooLong));
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
