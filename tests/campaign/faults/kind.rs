//! The kinds of faults.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use super::network::{NetworkFault, Road};
use super::{
    Fault, Planned, bells, clients, clock, disk, edges, functions, nats, postgres, power, workers,
};

/// Declares the kinds with their spellings, so that none is forgotten.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum FaultKind { $($(#[$doc])* $kind,)+ }

        impl FaultKind {
            /// Every kind.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),+];

            /// The one spelling, on the command line and in reports.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    /// kill -9 of a worker that runs attempts; another takes its place.
    WorkerKilled = "worker_killed",
    /// A worker is stopped for longer than its lease, then goes on.
    WorkerZombie = "worker_zombie",
    /// Every worker in turn is told to end and replaced.
    WorkersRolled = "workers_rolled",
    /// kill -9 of an edge; another takes its place.
    EdgeKilled = "edge_killed",
    /// Every edge in turn is told to end and replaced.
    EdgesRolled = "edges_rolled",
    /// An edge is stopped, as between two invokes of a function, then goes on.
    EdgeFrozen = "edge_frozen",
    /// Instances of a function rest for longer than servers wait for them, then
    /// are invoked many times.
    FunctionsFrozen = "functions_frozen",
    /// kill -9 of NATS, and a start with its data.
    NatsKilled = "nats_killed",
    /// NATS is stopped, then goes on.
    NatsPaused = "nats_paused",
    /// kill -9 of NATS, and a start without its data.
    NatsWiped = "nats_wiped",
    /// The disk of NATS is full.
    NatsDiskFull = "nats_disk_full",
    /// The disk of NATS does not flush.
    NatsFsyncFailed = "nats_fsync_failed",
    /// The power of both servers fails: what was not flushed is gone.
    PowerLost = "power_lost",
    /// Somebody deletes all streams.
    StreamsDeleted = "streams_deleted",
    /// PostgreSQL stops at once, without a checkpoint, and starts again.
    PostgresRestarted = "postgres_restarted",
    /// kill -9 of a backend: PostgreSQL ends all others and recovers.
    PostgresCrashed = "postgres_crashed",
    /// The product's backends are terminated, again and again.
    BackendsEnded = "backends_ended",
    /// Connections to PostgreSQL are reset, new ones too.
    PostgresCut = "postgres_cut",
    /// Nothing comes through to PostgreSQL and back; it comes late.
    PostgresSilent = "postgres_silent",
    /// Connections to PostgreSQL become dumb for ever.
    PostgresHalfOpen = "postgres_half_open",
    /// PostgreSQL is heard by nobody, or hears nobody.
    PostgresOneWay = "postgres_one_way",
    /// PostgreSQL commits nothing: its replica does not answer.
    CommitsStuck = "commits_stuck",
    /// The way to PostgreSQL is long.
    PostgresSlow = "postgres_slow",
    /// Connections to NATS are reset, new ones too.
    NatsCut = "nats_cut",
    /// Nothing comes through to NATS and back; it comes late.
    NatsSilent = "nats_silent",
    /// Connections to NATS become dumb for ever.
    NatsHalfOpen = "nats_half_open",
    /// NATS is heard by nobody, or hears nobody.
    NatsOneWay = "nats_one_way",
    /// The way to NATS is long.
    NatsSlow = "nats_slow",
    /// Every doorbell rings several times.
    BellsDoubled = "bells_doubled",
    /// Doorbells are swallowed by somebody who does nothing.
    BellsDropped = "bells_dropped",
    /// Doorbells are swallowed and ring later, in another order.
    BellsLate = "bells_late",
    /// Events on NATS come again, in another order.
    FeedReplayed = "feed_replayed",
    /// Hundreds of clients connect at once.
    ConnectionStorm = "connection_storm",
    /// Clients hang up before they are answered.
    ClientsHangUp = "clients_hang_up",
    /// The ledger's clock jumps ahead.
    ClockAhead = "clock_ahead",
    /// The ledger's clock steps back a little.
    ClockBack = "clock_back",
}

impl FaultKind {
    /// How long it may last, in milliseconds.
    pub(super) const fn lasts(self) -> Range<u64> {
        match self {
            Self::WorkersRolled
            | Self::EdgesRolled
            | Self::StreamsDeleted
            | Self::PostgresCrashed
            | Self::PowerLost
            | Self::ClockAhead
            | Self::ClockBack => 0..1,
            Self::WorkerKilled | Self::EdgeKilled | Self::PostgresRestarted => 300..3_000,
            // Longer than a lease, than a worker may be silent, and than its attempts
            // take; not until they have been made up for elsewhere.
            Self::WorkerZombie => 6_000..7_500,
            // Longer than NATS waits before it flushes.
            Self::NatsFsyncFailed => 6_000..9_000,
            Self::EdgeFrozen => 3_000..12_000,
            // Longer than the servers' idle limits.
            Self::FunctionsFrozen => 9_000..14_000,
            Self::NatsKilled | Self::NatsWiped => 500..5_000,
            // Some are noticed by unanswered pings, some are not.
            Self::NatsPaused | Self::NatsSilent => 3_000..14_000,
            Self::BackendsEnded | Self::ConnectionStorm => 1_000..2_500,
            Self::PostgresCut
            | Self::PostgresSilent
            | Self::PostgresHalfOpen
            | Self::PostgresOneWay
            | Self::PostgresSlow
            | Self::CommitsStuck
            | Self::NatsCut
            | Self::NatsHalfOpen
            | Self::NatsOneWay
            | Self::NatsSlow
            | Self::NatsDiskFull
            | Self::BellsDoubled
            | Self::BellsDropped
            | Self::BellsLate
            | Self::FeedReplayed
            | Self::ClientsHangUp => 1_500..6_000,
        }
    }

    /// How soon jobs must run again once it is lifted.
    pub(super) const fn recovery_limit(self) -> Duration {
        match self {
            Self::PostgresRestarted | Self::PostgresCrashed | Self::PowerLost => {
                Duration::from_secs(30)
            }
            _ => Duration::from_secs(10),
        }
    }

    /// Whether it may keep a worker from telling the ledger that it lives.
    pub(super) const fn may_silence_workers(self) -> bool {
        matches!(
            self,
            Self::WorkerKilled
                | Self::WorkerZombie
                | Self::PowerLost
                | Self::PostgresRestarted
                | Self::PostgresCrashed
                | Self::BackendsEnded
                | Self::PostgresCut
                | Self::PostgresSilent
                | Self::PostgresHalfOpen
                | Self::PostgresOneWay
                | Self::PostgresSlow
                | Self::ClockAhead
        )
    }

    /// Whether another kind may go wrong at the same time: what is broken
    /// beside it must leave it its means.
    pub(super) const fn is_companion(self) -> bool {
        matches!(
            self,
            Self::NatsKilled
                | Self::NatsPaused
                | Self::NatsWiped
                | Self::StreamsDeleted
                | Self::PostgresSlow
                | Self::NatsCut
                | Self::NatsSilent
                | Self::NatsHalfOpen
                | Self::NatsOneWay
                | Self::NatsSlow
                | Self::ClientsHangUp
        )
    }

    /// Whether a companion may go wrong beside it.
    pub(super) const fn takes_companion(self) -> bool {
        matches!(
            self,
            Self::WorkerKilled
                | Self::WorkerZombie
                | Self::WorkersRolled
                | Self::EdgeKilled
                | Self::EdgesRolled
                | Self::PostgresRestarted
                | Self::BackendsEnded
                | Self::ConnectionStorm
        )
    }

    /// The fault that is planned.
    pub(super) fn fault(planned: &Planned) -> Box<dyn Fault> {
        let chance = planned.chance;
        match planned.kind {
            Self::WorkerKilled => Box::new(workers::Killed::new(chance)),
            Self::WorkerZombie => Box::new(workers::Zombie::new(chance)),
            Self::WorkersRolled => Box::new(workers::Rolled::default()),
            Self::EdgeKilled => Box::new(edges::Killed::new(chance)),
            Self::EdgesRolled => Box::new(edges::Rolled::default()),
            Self::EdgeFrozen => Box::new(edges::Frozen::new(chance)),
            Self::FunctionsFrozen => Box::new(functions::Frozen::default()),
            Self::NatsKilled => Box::new(nats::Killed::keeping_data()),
            Self::NatsWiped => Box::new(nats::Killed::losing_data()),
            Self::NatsPaused => Box::new(nats::Paused::default()),
            Self::NatsDiskFull => Box::new(disk::Failing::new(disk::Failure::FULL)),
            Self::NatsFsyncFailed => Box::new(disk::Failing::new(disk::Failure::UNFLUSHED)),
            Self::PowerLost => Box::new(power::Lost::default()),
            Self::StreamsDeleted => Box::new(nats::StreamsDeleted::default()),
            Self::PostgresRestarted => Box::new(postgres::Restarted::new(chance)),
            Self::PostgresCrashed => Box::new(postgres::Crashed::new(chance)),
            Self::BackendsEnded => Box::new(postgres::BackendsEnded::default()),
            Self::CommitsStuck => Box::new(postgres::CommitsStuck::default()),
            Self::PostgresCut
            | Self::PostgresSilent
            | Self::PostgresHalfOpen
            | Self::PostgresOneWay
            | Self::PostgresSlow => {
                Box::new(NetworkFault::new(planned.kind, Road::ToPostgres, chance))
            }
            Self::NatsCut
            | Self::NatsSilent
            | Self::NatsHalfOpen
            | Self::NatsOneWay
            | Self::NatsSlow => Box::new(NetworkFault::new(planned.kind, Road::ToNats, chance)),
            Self::BellsDoubled => Box::new(bells::Doubled::default()),
            Self::BellsDropped => Box::new(bells::Swallowed::for_good()),
            Self::BellsLate => Box::new(bells::Swallowed::for_a_while(chance)),
            Self::FeedReplayed => Box::new(bells::Replayed::new(chance)),
            Self::ConnectionStorm => Box::new(clients::Storm::default()),
            Self::ClientsHangUp => Box::new(clients::HangUps::new(chance)),
            Self::ClockAhead => Box::new(clock::Jump::ahead(chance)),
            Self::ClockBack => Box::new(clock::Jump::back(chance)),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| format!("the kinds are {}", known()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_spelling() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(*kind));
        }
    }
}
