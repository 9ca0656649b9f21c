//! The points at which a test ends the process, to see what is left of a saga.
//!
//! A build with debug assertions dies at a mark if the environment variable `RECGATEMARK` names it:
//! at once, with nothing of ours run on the way out, as under `kill -9`. Every other build has no
//! such variable, and a mark is nothing: no configuration, no feature and no request reaches it.

/// A point in a saga. Each stands in the code once or more, before or after what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Mark {
    CommandAdmitted,
    CommandIntended,
    CommandReady,
    PutAnswered,
    FallingBack,
    FallbackAnswered,
    ReadingBack,
    CommandSettled,
    HoldBegun,
    PauseRepeated,
    RecoveryBegun,
    RecoveryAnswered,
    ReleaseAsked,
    ReleaseReady,
    ReleaseIntended,
    ReleaseAnswered,
    Undoing,
    ProtectAnswered,
    ReleaseUndone,
    ReleaseSettled,
    LedgerCommitting,
    LedgerCommitted,
}

// === impl Mark ===

impl Mark {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::CommandAdmitted,
        Self::CommandIntended,
        Self::CommandReady,
        Self::PutAnswered,
        Self::FallingBack,
        Self::FallbackAnswered,
        Self::ReadingBack,
        Self::CommandSettled,
        Self::HoldBegun,
        Self::PauseRepeated,
        Self::RecoveryBegun,
        Self::RecoveryAnswered,
        Self::ReleaseAsked,
        Self::ReleaseReady,
        Self::ReleaseIntended,
        Self::ReleaseAnswered,
        Self::Undoing,
        Self::ProtectAnswered,
        Self::ReleaseUndone,
        Self::ReleaseSettled,
        Self::LedgerCommitting,
        Self::LedgerCommitted,
    ];
}

/// Passes a mark. `RECGATEMARK=PutAnswered:3` ends the process when it comes here the third time.
#[cfg(debug_assertions)]
pub fn reached(mark: Mark) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("RECGATEMARK").ok()?;
        let (name, times) = text.split_once(':')?;
        Some((name.to_owned(), AtomicU32::new(times.parse().ok()?)))
    });
    if let Some((name, left)) = wanted
        && *name == format!("{mark:?}")
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // No destructor, no flush, no other thread gets a further step.
        std::process::abort();
    }
}

/// Panics, to see what that costs: in a build with debug assertions, where the variable
/// `RECGATEMARK` is `Stumble`, at every exchange whose turn is a multiple of 7.
///
/// # Panics
///
/// That is what it is for.
#[cfg(debug_assertions)]
pub fn stumble() {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<bool> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let wanted =
        *WANTED.get_or_init(|| std::env::var("RECGATEMARK").is_ok_and(|it| it == "Stumble"));
    let turn = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(!wanted || !turn.is_multiple_of(7), "a stumble");
}

/// Stumbles: never.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn stumble() {}

/// Passes a mark: nothing.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn reached(_: Mark) {}
