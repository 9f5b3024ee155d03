//! Variants of the product that are broken on purpose, for the fault campaign
//! to catch: a checker that has never failed proves nothing.
//!
//! They exist only where everything is built with `--cfg jetlane_mutants`,
//! which nothing that is shipped is. `JETLANE_MUTANT` says which one a process
//! is.

use std::sync::LazyLock;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Settling ends whichever attempt is the current one, and a worker does not stop
    /// an attempt that it has lost.
    NoFence,
    /// Settling ends an attempt also after it was taken away.
    SettleWithoutState,
    /// What is owed to NATS is forgotten at the first try, whatever becomes of it.
    NoOutbox,
    /// Jobs are accepted before they are committed.
    AckBeforeCommit,
    /// A watcher that comes back with an id begins with what happens now.
    ResumeIgnored,
    /// Transactions run in their caller's task, and nobody rolls back what a
    /// dropped `begin` left on a connection.
    NoPoolGuard,
    /// Watchers see every tenant's events.
    TenantsMixed,
}

impl Mutant {
    const ALL: [Self; 7] = [
        Self::NoFence,
        Self::SettleWithoutState,
        Self::NoOutbox,
        Self::AckBeforeCommit,
        Self::ResumeIgnored,
        Self::NoPoolGuard,
        Self::TenantsMixed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::NoFence => "no_fence",
            Self::SettleWithoutState => "settle_without_state",
            Self::NoOutbox => "no_outbox",
            Self::AckBeforeCommit => "ack_before_commit",
            Self::ResumeIgnored => "resume_ignored",
            Self::NoPoolGuard => "no_pool_guard",
            Self::TenantsMixed => "tenants_mixed",
        }
    }

    /// Whether this process is that variant.
    ///
    /// # Panics
    ///
    /// If it was told to be one that does not exist: it would pass for caught.
    #[must_use]
    pub fn is_on(self) -> bool {
        static MUTANT: LazyLock<Option<Mutant>> = LazyLock::new(read);
        *MUTANT == Some(self)
    }
}

#[expect(clippy::disallowed_methods, reason = "a variable of no shipped process")]
fn read() -> Option<Mutant> {
    let name = std::env::var("JETLANE_MUTANT").ok()?;
    let mutant = Mutant::ALL.into_iter().find(|mutant| mutant.as_str() == name);
    assert!(mutant.is_some(), "there is no mutant `{name}`");
    mutant
}
