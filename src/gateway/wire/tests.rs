//! However the bytes of a request are cut, they are judged alike.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use proptest::prelude::*;
use rstest::rstest;
use tokio::io::{AsyncRead, ReadBuf};

use super::{At, Bounds, Wire};
use crate::error::Code;
use crate::gateway::vitals::{Patience, Vitals};

const PATIENCE: Patience = Patience {
    send: Duration::from_secs(5),
    idle: Duration::from_mins(1),
    exchange: Duration::from_hours(2),
};

/// Gives its pieces one a read, then stands still.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.0.pop_front() else { return Poll::Pending };
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

/// What hyper would read, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    passed: Vec<u8>,
    ended: Ended,
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// Between two requests.
    Clean,
    /// Inside a head or a body.
    Inside,
    Refused(Code),
    /// A body that is none.
    Broken,
}

fn read(pieces: impl IntoIterator<Item = Vec<u8>>, room: usize) -> Read {
    let bounds = Bounds { bytes: 512, lines: 8 };
    let vitals = Vitals::new(PATIENCE, Gauge::default());
    let mut wire = Wire::new(Pieces(pieces.into_iter().collect()), bounds, vitals);
    let mut cx = Context::from_waker(Waker::noop());
    let mut passed = Vec::new();
    loop {
        let mut space = vec![0; room];
        let mut buf = ReadBuf::new(&mut space);
        let polled = Pin::new(&mut wire).poll_read(&mut cx, &mut buf);
        let refused = wire.refusals.refused.get().map(|it| it.1.failure.code);
        if let Some(code) = refused {
            return Read { passed, ended: Ended::Refused(code) };
        }
        match polled {
            Poll::Ready(Ok(())) => passed.extend_from_slice(buf.filled()),
            Poll::Ready(Err(_)) => {
                // How much of a broken body came before is a matter of how it was cut.
                return Read { passed: Vec::new(), ended: Ended::Broken };
            }
            Poll::Pending => {
                let clean = matches!(wire.at, At::Head) && wire.held.is_empty();
                let ended = if clean { Ended::Clean } else { Ended::Inside };
                return Read { passed, ended };
            }
        }
    }
}

fn whole(bytes: &[u8]) -> Read {
    read([bytes.to_vec()], 8192)
}

const GET: &[u8] = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
const CHUNKS: &[u8] =
    b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n";
const LENGTH: &[u8] = b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";

#[rstest]
#[case::get(GET)]
#[case::chunks(CHUNKS)]
#[case::length(LENGTH)]
#[case::all_in_a_row(&[GET, CHUNKS, LENGTH, GET].concat())]
#[case::empty_lines(&[b"\r\n\r\n", GET, b"\r\n", LENGTH].concat())]
fn good_requests_pass_unchanged(#[case] bytes: &[u8]) {
    assert_eq!(whole(bytes), Read { passed: bytes.to_vec(), ended: Ended::Clean });
}

#[rstest]
#[case::head(&GET[..20])]
#[case::body(&LENGTH[..LENGTH.len() - 1])]
#[case::chunks(&CHUNKS[..CHUNKS.len() - 1])]
fn what_is_cut_is_waited_for(#[case] bytes: &[u8]) {
    assert_eq!(whole(bytes).ended, Ended::Inside);
}

#[test]
fn what_came_before_a_refusal_passes() {
    let bad = b"GET /x HTTP/1.1\nhost: a\r\n\r\n";
    let got = whole(&[GET, bad].concat());
    assert_eq!(got, Read { passed: GET.to_vec(), ended: Ended::Refused(Code::RequestMalformed) });
}

#[rstest]
#[case::line(b"GET /", Code::RequestTargetTooLong)]
#[case::head(b"GET / HTTP/1.1\r\nx: ", Code::RequestHeadTooLarge)]
fn a_head_without_an_end_is_not_waited_for(#[case] start: &[u8], #[case] code: Code) {
    let endless = [start, &[b'a'; 600]].concat();
    assert_eq!(whole(&endless).ended, Ended::Refused(code));
}

/// Fragments that make and break requests.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&'static [u8]> = vec![
        GET,
        CHUNKS,
        LENGTH,
        b"GET /x HTTP/1.1\r\n",
        b"host: a\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abc",
        b"x: y\r\n",
        b" fold\r\n",
        b"\0",
        b";e\r\n",
        b"POST /y HTTP/1.0\r\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(parts).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        fragments in proptest::collection::vec(fragment(), 1..12),
        cuts in proptest::collection::vec(1_usize..40, 1..60),
        room in 1_usize..64,
    ) {
        let bytes = fragments.concat();
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            if !piece.is_empty() {
                pieces.push(piece.to_vec());
            }
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces.retain(|piece| !piece.is_empty());
        prop_assert_eq!(read(pieces, room), whole(&bytes));
    }
}
