//! Edges that die, freeze, or are replaced.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::victims::any;
use super::workers::replace;
use super::{Fault, Felt};
use crate::campaign::Ground;
use crate::world::Incarnation;

/// kill -9 of an edge.
pub(super) struct Killed {
    rng: StdRng,
    victim: Option<String>,
    troubles: u64,
}

impl Killed {
    pub(super) fn new(chance: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(chance), victim: None, troubles: 0 }
    }
}

impl Fault for Killed {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let edge = any(&ground.world.edges, &mut self.rng);
            self.troubles = ground.troubles();
            self.victim = Some(edge.name.clone());
            edge.kill().await
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let victim = ground.world.edges.iter().find(|e| Some(&e.name) == self.victim.as_ref());
            match victim {
                Some(edge) => edge.start_again().await,
                None => Ok(()),
            }
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = ground.troubles() - self.troubles;
        std::future::ready(Felt { what: "calls in trouble", count }).boxed_local()
    }
}

/// SIGSTOP of an edge, as a function instance is frozen between two invokes.
pub(super) struct Frozen {
    rng: StdRng,
    victim: Option<Arc<Incarnation>>,
    troubles: u64,
}

impl Frozen {
    pub(super) fn new(chance: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(chance), victim: None, troubles: 0 }
    }
}

impl Fault for Frozen {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let life = any(&ground.world.edges, &mut self.rng).latest();
            self.troubles = ground.troubles();
            life.freeze();
            self.victim = Some(life);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            if let Some(life) = &self.victim {
                life.thaw();
            }
            Ok(())
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = ground.troubles() - self.troubles;
        std::future::ready(Felt { what: "calls in trouble", count }).boxed_local()
    }
}

/// Every edge in turn gets SIGTERM and is replaced.
#[derive(Default)]
pub(super) struct Rolled {
    troubles: u64,
}

impl Fault for Rolled {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.troubles = ground.troubles();
            for edge in &ground.world.edges {
                replace(ground, edge).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = ground.troubles() - self.troubles;
        std::future::ready(Felt { what: "calls in trouble", count }).boxed_local()
    }
}
