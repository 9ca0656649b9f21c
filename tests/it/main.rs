//! The promises of recgate, judged from outside: the built binary, through sockets, as a client.
//!
//! One file a promise; [`harness`] starts the gateway, plays upstreams and clients byte for byte,
//! and speaks to the mock's control plane. Ports are always 0, nothing waits without a deadline,
//! nothing is tried again to make it pass, and no pause stands in for a condition.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, clippy::print_stdout)]

mod harness;
mod hostile;

mod authority;
mod big_bodies;
mod check;
mod checks;
mod clients;
mod commands;
mod configuration;
mod dialects;
mod farewells;
mod framing;
mod hooks;
mod interim;
mod json_schema;
mod ledger;
mod limits;
mod outage;
mod overload;
mod pass_through;
mod pipes;
mod protection;
mod rehearse;
mod reload;
mod rules;
mod sagas;
mod serving;
mod slow;
mod spec_lint;
mod strict_http;
mod subscriptions;
mod tls;
mod upgrade;
mod upstream_http2;
mod varnishtest;
