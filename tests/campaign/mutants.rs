//! Variants of the product that are broken on purpose: each must be caught, or
//! the checker proves nothing.
//!
//! They are built with `--cfg jetlane_mutants`, which no shipped build sets;
//! `.ci/mutants` builds and runs them.

use std::fmt;
use std::str::FromStr;

use crate::faults::FaultKind;
use crate::violations::Invariant;

/// A variant; see `core/src/config/mutant.rs` for what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    NoFence,
    SettleWithoutState,
    NoOutbox,
    AckBeforeCommit,
    ResumeIgnored,
    NoPoolGuard,
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

    /// The one spelling, as the product's processes are told it.
    pub(crate) const fn as_str(self) -> &'static str {
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

    /// The faults under which it does harm.
    pub(crate) const fn faults(self) -> &'static [FaultKind] {
        match self {
            Self::NoFence | Self::SettleWithoutState => &[FaultKind::WorkerZombie],
            Self::NoOutbox => &[FaultKind::NatsKilled, FaultKind::NatsCut],
            Self::AckBeforeCommit => &[FaultKind::EdgeKilled, FaultKind::BackendsEnded],
            Self::NoPoolGuard => &[FaultKind::ClientsHangUp],
            Self::ResumeIgnored | Self::TenantsMixed => &[],
        }
    }

    /// What it violates: any of these. Another violation does not count as
    /// catching it.
    pub(crate) const fn violates(self) -> &'static [Invariant] {
        match self {
            Self::NoFence => &[Invariant::CommittedOnce],
            Self::SettleWithoutState => &[Invariant::Events, Invariant::CommittedOnce],
            Self::NoOutbox => &[Invariant::Announced],
            Self::AckBeforeCommit => &[Invariant::Accepted],
            Self::ResumeIgnored => &[Invariant::Watched],
            Self::NoPoolGuard => &[Invariant::Accepted, Invariant::Leftovers],
            Self::TenantsMixed => &[Invariant::TenantsApart],
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|mutant| mutant.as_str() == text);
        found.ok_or_else(|| format!("the mutants are {}", known()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_one_spelling_and_violates_something() {
        for mutant in Mutant::ALL {
            assert_eq!(mutant.to_string().parse(), Ok(mutant));
            assert!(!mutant.violates().is_empty());
        }
    }
}
