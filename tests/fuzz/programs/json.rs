//! The fuzz program of [`recgate::contract::fuzz::json`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recgate::contract::fuzz::json(data));
