//! recgate: a gateway for call-recording APIs.
//!
//! Integrations that were written against yesterday's API are pointed at it and keep working,
//! unchanged; every message on every hop is checked against the vendor's contract.
//!
//! ```text
//!             hop 1                    hop 2
//!  client ──request──►  recgate  ──request(s)──►  upstream: the vendor, or the mock
//!         ◄─response──           ◄─response(s)──
//!             hop 4                    hop 3
//! ```
//!
//! # The rooms
//!
//! | room | what it is for | whom it may know |
//! |---|---|---|
//! | [`contract`] | OpenAPI documents, by date, and verdicts on messages | [`json`] |
//! | [`json`] | strict JSON on a borrowed tree | nobody |
//! | [`dialect`] | error shapes of the vendors | nobody |
//! | [`change`] | one module a vendor announcement | [`contract`], [`dialect`], [`error`], [`json`] |
//! | [`gateway`] | listens, identifies, checks, calls, answers | all but [`mock`], [`rehearse`] and [`cli`] |
//! | [`mock`] | a stateful vendor to rehearse against | [`dialect`] |
//! | [`ledger`] | intents, outcomes, events, leases and deliveries, durable | [`change::journal`], [`hook::shelf`], [`hook::delivery`] |
//! | [`report`] | findings, each kind once | [`contract`], [`error`] |
//! | [`rehearse`] | calls in three lanes: before, after, through recgate | [`gateway`], [`mock`] and below |
//! | [`hook`] | signed events in and out; leases | [`change`], [`json`], the networks and certificates of [`config`] |
//! | [`admin`] | the operator's side | [`ledger`], [`report`] |
//! | [`config`] | file, variables and flags, checked | the settings of the rooms |
//! | [`cli`] | starts things | everybody |
//!
//! A room does not reach back up. The mock never knows the gateway and the gateway never knows the
//! mock: if they shared a view of the vendor, both would be wrong together.
//!
//! The path of an exchange is one function, `exchange` in `gateway/pipeline.rs`.

pub mod admin;
mod card;
pub mod change;
pub mod cli;
pub mod config;
pub mod contract;
pub mod dialect;
pub mod error;
pub mod gateway;
pub mod hook;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod mock;
pub mod rehearse;
pub mod report;
pub mod telemetry;
