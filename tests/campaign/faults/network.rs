//! What happens on the way between processes and servers.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jetlane_tests::{Proxy, Weather};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::{Fault, FaultKind, Felt};
use crate::campaign::Ground;
use crate::world::{Member, World};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Road {
    ToPostgres,
    ToNats,
}

/// Who is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    /// The one of this place in the fleet.
    One(usize),
    Edges,
    Workers,
    Everybody,
}

/// Bad weather on one road.
pub(super) struct NetworkFault {
    road: Road,
    weather: Weather,
    rng: StdRng,
    hit: Hit,
    before: u64,
}

impl NetworkFault {
    pub(super) fn new(kind: FaultKind, road: Road, chance: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(chance);
        let weather = weather(kind, &mut rng);
        Self { road, weather, rng, hit: Hit::Everybody, before: 0 }
    }

    fn proxies<'a>(&self, world: &'a World) -> Vec<&'a Proxy> {
        let hit: Vec<&Member> = match self.hit {
            Hit::One(n) => world.members().skip(n).take(1).collect(),
            Hit::Edges => world.edges.iter().collect(),
            Hit::Workers => world.workers.iter().collect(),
            Hit::Everybody => world.members().collect(),
        };
        let road = |member: &'a Member| match self.road {
            Road::ToPostgres => &member.to_postgres,
            Road::ToNats => &member.to_nats,
        };
        hit.into_iter().map(road).collect()
    }

    /// Who is dead or frozen already would not feel it.
    fn one_at_work(&mut self, world: &World) -> usize {
        let places = world.members().enumerate().filter(|(_, member)| member.latest().works());
        let places: Vec<_> = places.map(|(place, _)| place).collect();
        places.choose(&mut self.rng).copied().unwrap_or_default()
    }

    fn touched(&self, world: &World) -> u64 {
        self.proxies(world).into_iter().map(Proxy::touched).sum()
    }

    fn set(&self, world: &World, weather: Weather) {
        for proxy in self.proxies(world) {
            proxy.set(weather);
        }
    }
}

fn weather(kind: FaultKind, rng: &mut StdRng) -> Weather {
    match kind {
        FaultKind::PostgresCut | FaultKind::NatsCut => Weather::Cut,
        FaultKind::PostgresHalfOpen | FaultKind::NatsHalfOpen => Weather::HalfOpen,
        FaultKind::PostgresSlow | FaultKind::NatsSlow => {
            Weather::Slow(Duration::from_millis(rng.random_range(20..150)))
        }
        FaultKind::PostgresOneWay | FaultKind::NatsOneWay if rng.random_bool(0.7) => {
            Weather::NoAnswers
        }
        FaultKind::PostgresOneWay | FaultKind::NatsOneWay => Weather::NoQuestions,
        _ => Weather::Silent,
    }
}

impl Fault for NetworkFault {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.hit = match self.rng.random_range(0..10) {
            0..5 => Hit::One(self.one_at_work(&ground.world)),
            5..7 => Hit::Edges,
            7..9 => Hit::Workers,
            _ => Hit::Everybody,
        };
        self.before = self.touched(&ground.world);
        self.set(&ground.world, self.weather);
        std::future::ready(Ok(())).boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.set(&ground.world, Weather::Clear);
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = self.touched(&ground.world) - self.before;
        std::future::ready(Felt { what: "connections touched", count }).boxed_local()
    }
}
