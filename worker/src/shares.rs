//! Whose jobs to claim next: a lane's share for each tenant, without I/O.
//!
//! Every tenant has a *pass* that grows with each job started for it, the
//! slower the greater its weight; the one with the smallest pass goes next
//! (stride scheduling, Waldspurger 1995). Each worker keeps its own passes: what
//! every worker shares fairly, all of them together do, and no row of the
//! ledger is locked for it.

use std::time::Duration;

use jetlane_core::domain::{Share, TenantName};
use jetlane_core::store::{MOST_TENANTS, Sight};
use tokio::time::Instant;

/// While several tenants are known, they are looked up anew so often: one that
/// came since waits no longer for its share.
const LOOK_UP_PERIOD: Duration = Duration::from_millis(200);

/// Who shares a lane.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Never empty. If it is one tenant, it is whose jobs were seen last.
    tenants: Vec<Entry>,
    looked_up: Option<Instant>,
    /// There were more than a look-up tells of: after whom the next one goes on.
    go_on: Option<TenantName>,
    /// Somebody was seen who is not known.
    is_stranger_seen: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    tenant: TenantName,
    weight: i32,
    pass: f64,
}

impl Shares {
    /// Nobody is known; the default tenant is a good guess.
    pub(crate) fn new() -> Self {
        let guess = Entry { tenant: TenantName::default(), weight: 1, pass: 0.0 };
        Self { tenants: vec![guess], looked_up: None, go_on: None, is_stranger_seen: false }
    }

    /// Whether the tenants are to be looked up before the next claim.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.is_stranger_seen
            || self.tenants.len() > 1
                && self.looked_up.is_none_or(|at| now.duration_since(at) >= LOOK_UP_PERIOD)
    }

    /// After whom the next look-up is to go on, by name.
    pub(crate) fn go_on(&self) -> Option<&TenantName> {
        self.go_on.as_ref()
    }

    /// Takes note of who has jobs waiting, as far as a claim could see.
    pub(crate) fn note(&mut self, sight: &Sight) {
        self.is_stranger_seen = sight.tenants.as_ref().is_some_and(|(first, last)| {
            [first, last]
                .iter()
                .any(|seen| !self.tenants.iter().any(|known| known.tenant == **seen))
        });
    }

    /// Takes note of the tenants of whom jobs are claimable. One that is new
    /// begins level with the one that is served next: absence earns nothing.
    pub(crate) fn learn(&mut self, found: Vec<Share>, now: Instant) {
        self.looked_up = Some(now);
        self.go_on = found.last().filter(|_| found.len() >= MOST_TENANTS).map(|s| s.tenant.clone());
        self.is_stranger_seen = false;
        if found.is_empty() {
            self.tenants.truncate(1);
            return;
        }
        let level = self.tenants.iter().map(|known| known.pass).fold(f64::INFINITY, f64::min);
        let known = std::mem::take(&mut self.tenants);
        self.tenants = found
            .into_iter()
            .map(|Share { tenant, weight }| {
                let pass = known.iter().find(|entry| entry.tenant == tenant);
                Entry { pass: pass.map_or(level, |entry| entry.pass.max(level)), tenant, weight }
            })
            .collect();
    }

    /// Whose jobs to claim for so many slots, and how many of each: who goes
    /// next comes first.
    pub(crate) fn plan(&self, slots: usize) -> Vec<(TenantName, i32)> {
        if let [only] = &self.tenants[..] {
            return vec![(only.tenant.clone(), i32::try_from(slots).unwrap_or(i32::MAX))];
        }
        let mut passes: Vec<f64> = self.tenants.iter().map(|entry| entry.pass).collect();
        let mut plan: Vec<(TenantName, i32)> = Vec::new();
        for _ in 0..slots {
            let Some(next) = (0..passes.len()).min_by(|a, b| passes[*a].total_cmp(&passes[*b]))
            else {
                break;
            };
            let entry = &self.tenants[next];
            passes[next] += entry.stride();
            match plan.iter_mut().find(|(tenant, _)| *tenant == entry.tenant) {
                Some((_, quota)) => *quota += 1,
                None => plan.push((entry.tenant.clone(), 1)),
            }
        }
        plan
    }

    /// A job of this tenant was started.
    pub(crate) fn charge(&mut self, tenant: &TenantName) {
        if let Some(entry) = self.tenants.iter_mut().find(|entry| entry.tenant == *tenant) {
            entry.pass += entry.stride();
        }
    }

    /// Whether a claim that left slots free may have overlooked somebody: it
    /// asked for the jobs of some, and others wait. Note the sight first.
    pub(crate) fn may_overlook(&self, sight: &Sight) -> bool {
        sight.tenants.is_some() && (self.tenants.len() > 1 || self.is_stranger_seen)
    }
}

impl Entry {
    fn stride(&self) -> f64 {
        1.0 / f64::from(self.weight.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    fn share(name: &str, weight: i32) -> Share {
        Share { tenant: tenant(name), weight }
    }

    fn sight(first: &str, last: &str) -> Sight {
        Sight { tenants: Some((tenant(first), tenant(last))), ..Sight::default() }
    }

    /// Starts jobs, `slots` at a time, of tenants who always have more.
    fn started(shares: &mut Shares, slots: usize, rounds: usize) -> HashMap<String, i32> {
        let mut started = HashMap::new();
        for _ in 0..rounds {
            for (tenant, quota) in shares.plan(slots) {
                for _ in 0..quota {
                    shares.charge(&tenant);
                }
                *started.entry(tenant.to_string()).or_default() += quota;
            }
        }
        started
    }

    #[tokio::test]
    async fn a_tenant_alone_gets_all_slots() {
        assert_eq!(Shares::new().plan(4), [(TenantName::default(), 4)]);
    }

    #[tokio::test]
    async fn slots_are_shared_by_weight_also_one_at_a_time() {
        for slots in [1, 3, 4] {
            let mut shares = Shares::new();
            shares.learn(vec![share("a", 3), share("b", 1)], Instant::now());
            let started = started(&mut shares, slots, 100);
            let all = i32::try_from(slots * 100).unwrap();
            assert!((started["a"] - all * 3 / 4).abs() <= 3, "{started:?}");
        }
    }

    #[tokio::test]
    async fn who_was_away_has_saved_nothing_up() {
        let mut shares = Shares::new();
        shares.learn(vec![share("a", 1), share("b", 1)], Instant::now());
        started(&mut shares, 1, 100);
        shares.learn(vec![share("a", 1), share("b", 1), share("c", 1)], Instant::now());

        let started = started(&mut shares, 1, 30);

        assert!((9..=11).contains(&started["c"]), "{started:?}");
    }

    #[tokio::test]
    async fn of_more_tenants_than_a_look_up_tells_of_the_next_ones_come_next() {
        let mut shares = Shares::new();
        let found = |count: usize| (0..count).map(|n| share(&format!("t{n:04}"), 1)).collect();

        shares.learn(found(MOST_TENANTS), Instant::now());
        assert_eq!(shares.go_on(), Some(&tenant("t0999")));
        shares.learn(found(3), Instant::now());
        assert_eq!(shares.go_on(), None);
    }

    #[tokio::test]
    async fn a_tenant_that_was_not_asked_for_is_noticed() {
        let now = Instant::now();
        let mut shares = Shares::new();
        let mut overlooks = |sight: Sight| {
            shares.note(&sight);
            assert_eq!(shares.is_stale(now), shares.may_overlook(&sight));
            shares.may_overlook(&sight)
        };
        assert!(!overlooks(Sight::default()), "an empty lane");
        assert!(!overlooks(sight("default", "default")));
        assert!(overlooks(sight("default", "other")));
        assert!(overlooks(sight("other", "other")));

        shares.learn(vec![share("other", 1)], now);
        shares.note(&sight("other", "other"));
        assert!(!shares.may_overlook(&sight("other", "other")));
    }

    #[tokio::test]
    async fn several_tenants_are_looked_up_from_time_to_time_and_one_is_not() {
        let now = Instant::now();
        let mut shares = Shares::new();
        assert!(!shares.is_stale(now));
        shares.learn(vec![share("a", 1), share("b", 1)], now);
        assert!(!shares.is_stale(now));
        assert!(shares.is_stale(now + LOOK_UP_PERIOD));
    }

    proptest! {
        #[test]
        fn every_tenant_gets_its_share_to_within_a_few_jobs(
            weights in prop::collection::vec(1..20_i32, 2..8), slots in 1..9_usize,
        ) {
            let found: Vec<_> =
                weights.iter().enumerate().map(|(n, w)| share(&format!("t{n}"), *w)).collect();
            let mut shares = Shares::new();
            shares.learn(found, Instant::now());
            let started = started(&mut shares, slots, 200);

            let all = f64::from(started.values().sum::<i32>());
            let sum = f64::from(weights.iter().sum::<i32>());
            for (n, weight) in weights.iter().enumerate() {
                let got = f64::from(started.get(&format!("t{n}")).copied().unwrap_or_default());
                let due = all * f64::from(*weight) / sum;
                prop_assert!((got - due).abs() <= 3.0 + f64::from(*weight), "{got} of {due}");
            }
        }
    }
}
