//! The fuzz program of [`recgate::contract::fuzz::multipart`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recgate::contract::fuzz::multipart(data));
