//! recgate: a gateway for call-recording APIs.
//!
//! Integrations that were written against yesterday's API are pointed at it and keep working,

pub mod contract;
pub mod dialect;
pub mod json;
pub mod limits;
pub mod mock;
