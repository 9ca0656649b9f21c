//! recgate: a gateway for call-recording APIs.

pub mod contract;
pub mod dialect;
pub mod json;
pub mod limits;
pub mod mock;
