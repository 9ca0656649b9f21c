//! recgate: a gateway for call-recording APIs.
//!
//! Integrations that were written against yesterday's API are pointed at it and keep working,

pub mod change;
pub mod contract;
pub mod dialect;
pub mod error;
pub mod hook;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod mock;
pub mod report;
