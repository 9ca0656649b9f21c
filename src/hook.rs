//! Outside events in, outcomes out, both signed.
//!
//! Triggers (a CRM, a billing screen) and subscriptions speak Standard Webhooks. [`signature`] is
//! what both need first: over raw bytes, before anything is parsed. [`trigger`] makes of a message
//! an order, or refuses it; [`lease`] decides what becomes of a conversation, [`protection`] of
//! deletion protection; [`shelf`] is what all of them have to keep; [`delivery`] is the way out. None of them knows a network.

pub mod delivery;
pub mod lease;
pub mod protection;
pub mod shelf;
pub mod signature;
pub mod trigger;
