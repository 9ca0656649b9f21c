//! Following a body to its end, to know where the next head begins (RFC 9112 §6, §7).
//!
//! hyper decodes the same bytes afterwards. Where this one is content, both find the same end; what
//! hyper would take and others might not (space after a chunk's size, a control character in its
//! extension) is refused here.

use super::head::{Framing, field};
use crate::gateway::trailers;
use crate::limits::{CHUNK_EXTENSION_BYTES, CHUNK_SIZE_DIGITS};

/// A body that is being followed.
#[derive(Debug)]
pub(super) enum Follow {
    /// So many bytes are left.
    Length(u64),
    /// Chunks.
    Chunks(Chunks),
}

/// Where in a chunked body.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    extensions: usize,
    /// The trailer line that has begun, and the bytes of all.
    line: Vec<u8>,
    trailers: usize,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Size { value: u64, digits: usize },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
}

/// How far some bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// All of them belong to the body.
    On,
    /// The body ended after so many.
    Ended(usize),
}

// === impl Follow ===

impl Follow {
    /// `None` where there is no body. Trailers may have `most` bytes.
    pub(super) fn new(framing: Framing, most: usize) -> Option<Self> {
        match framing {
            Framing::None | Framing::Upgrade => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunks(Chunks {
                at: At::Size { value: 0, digits: 0 },
                extensions: 0,
                line: Vec::new(),
                trailers: 0,
                most,
            })),
        }
    }

    /// Goes over the next bytes. An error says what no chunked body has.
    pub(super) fn over(&mut self, bytes: &[u8]) -> Result<Went, &'static str> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                Ok(if *left == 0 { Went::Ended(taken) } else { Went::On })
            }
            Self::Chunks(chunks) => chunks.over(bytes),
        }
    }
}

// === impl Chunks ===

impl Chunks {
    fn over(&mut self, bytes: &[u8]) -> Result<Went, &'static str> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let At::Data { left } = &mut self.at {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                *left -= taken as u64;
                at += taken;
                if *left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            at += 1;
            if self.step(byte)? {
                return Ok(Went::Ended(at));
            }
        }
        Ok(Went::On)
    }

    /// One byte that is not data; whether the body ended with it.
    fn step(&mut self, byte: u8) -> Result<bool, &'static str> {
        self.at = match (self.at, byte) {
            (At::Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == CHUNK_SIZE_DIGITS {
                    return Err("a chunk's size is too long");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                At::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::Size { digits: 0, .. }, _) => return Err("a chunk without a size"),
            (At::Size { value, .. }, b';') => At::Extension { value },
            (At::Size { value, .. } | At::Extension { value }, b'\r') => At::SizeLf { value },
            (At::Size { .. }, _) => return Err("a chunk's size is followed by something else"),
            (At::Extension { value }, byte) => {
                self.extensions += 1;
                if self.extensions > CHUNK_EXTENSION_BYTES {
                    return Err("chunk extensions are too long");
                }
                if byte.is_ascii_control() && byte != b'\t' {
                    return Err("a control character in a chunk extension");
                }
                At::Extension { value }
            }
            (At::SizeLf { value: 0 }, b'\n') => At::Trailer,
            (At::SizeLf { value }, b'\n') => At::Data { left: value },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { value: 0, digits: 0 },
            (At::Trailer, b'\n') => return self.trailer(),
            (At::Trailer, byte) => {
                self.trailers += 1;
                if self.trailers > self.most {
                    return Err("trailers are too long");
                }
                self.line.push(byte);
                At::Trailer
            }
            (At::SizeLf { .. }, _) => return Err("a chunk's size line ends without a line feed"),
            (At::DataCr | At::DataLf, _) => return Err("a chunk is not as long as it says"),
            // Taken in whole by the caller.
            (At::Data { left }, _) => At::Data { left },
        };
        Ok(false)
    }

    /// The end of a trailer line; the empty one ends the body.
    fn trailer(&mut self) -> Result<bool, &'static str> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").ok_or("a trailer line without a carriage return")?;
        if line.is_empty() {
            return Ok(true);
        }
        let (name, _) = field(line).map_err(|_| "a trailer line that is no field")?;
        if trailers::is_refused(name) {
            return Err("a trailer that would change how its message is read");
        }
        Ok(false)
    }
}
