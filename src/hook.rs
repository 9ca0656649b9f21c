//! Outside events in, outcomes out, both signed.
//!
//! Triggers (a CRM, a billing screen) and subscriptions speak Standard Webhooks. What both need is
//! [`signature`], over raw bytes, before anything is parsed; [`delivery`] is the way out.

pub mod delivery;
pub mod signature;
