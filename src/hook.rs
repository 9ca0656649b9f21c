//! Outside events in, outcomes out, both signed.
//!
//! Triggers (a CRM, a billing screen) and subscriptions speak Standard Webhooks. What stands here
//! is what both need first: [`signature`], over raw bytes, before anything is parsed.

pub mod signature;
