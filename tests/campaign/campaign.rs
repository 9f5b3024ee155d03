//! A campaign from its first process to its report.

mod functions;
mod ground;
mod quiesce;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use ground::Ground;
pub(crate) use quiesce::Quiet;

use crate::args::Args;
use crate::checker::{Evidence, check};
use crate::faults::{Done, FaultKind, carry_out, episodes};
use crate::history::History;
use crate::load::{http_client, keep_submitting};
use crate::report::Report;
use crate::watching::{Feed, Watchers, listen};
use crate::world::{Member, Pressure, World, keep_gauges};

/// How long jobs run before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long watchers may take to get their first frame.
const BEGIN_LIMIT: Duration = Duration::from_secs(20);

/// How long clients may take to get their last answers; longer than a submit
/// with a key is tried.
const ANSWER_LIMIT: Duration = Duration::from_secs(110);

/// A campaign: all that runs in it.
pub(crate) struct Campaign {
    ground: Ground,
    watchers: Watchers,
    pressure: Arc<Pressure>,
    folder: PathBuf,
    /// What goes wrong in it.
    kinds: Vec<FaultKind>,
    left_out: Vec<String>,
    /// Hears the feed, and looks at the processes.
    beside: JoinSet<()>,
}

impl Campaign {
    /// Carries out a campaign and checks it.
    ///
    /// # Errors
    ///
    /// If the campaign itself fails, or is interrupted: then nothing is said
    /// about the product.
    pub(crate) async fn carry_out(args: &Args, seed: u64) -> anyhow::Result<Report> {
        tokio::select! {
            report = carry_out_whole(args, seed) => report,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    }

    /// Brings up everything but load and faults.
    async fn raise(
        args: &Args,
        seed: u64,
        kinds: Vec<FaultKind>,
        left_out: Vec<String>,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        let history = Arc::new(History::new(&folder.join("history.jsonl"))?);
        let http = http_client();
        let world = Arc::new(World::start(args, &kinds, &folder, &http).await?);

        let feed = Arc::new(Feed::default());
        let mut beside = JoinSet::new();
        beside.spawn(hear(world.servers.nats_url.clone(), Arc::clone(&feed)));
        let pressure = Arc::new(Pressure::default());
        beside.spawn(keep_gauges(Arc::clone(&world), http.clone(), Arc::clone(&pressure)));
        beside.spawn(functions::keep_functions(Arc::clone(&world), Arc::clone(&history)));
        let watchers = Watchers::start(args.watchers, seed, &world, &history, &http);
        if !watchers.until_begun(BEGIN_LIMIT).await {
            bail!("not every watcher had a first frame within {BEGIN_LIMIT:?}");
        }
        let ground = Ground::new(world, history, Arc::clone(&feed), http, seed, args.idempotency);
        Ok(Self { ground, watchers, pressure, folder, kinds, left_out, beside })
    }

    /// Submits jobs and breaks things for as long as was asked for.
    async fn rage(&self, args: &Args, seed: u64) -> anyhow::Result<Vec<Done>> {
        let deadline = Instant::now() + Duration::from_secs(args.seconds);
        let stop = CancellationToken::new();
        let mut load = JoinSet::new();
        load.spawn(keep_submitting(Arc::clone(&self.ground.clients), args.rate, stop.clone()));
        let (operator, until) = (Arc::clone(&self.ground.clients), stop.clone());
        load.spawn(async move { operator.operate(until).await });

        sleep(WARM_UP).await;
        let done = carry_out(&self.ground, episodes(seed, &self.kinds), deadline).await;
        sleep(deadline.saturating_duration_since(Instant::now())).await;

        stop.cancel();
        if timeout(ANSWER_LIMIT, load.join_all()).await.is_err() {
            bail!("clients still waited for answers {ANSWER_LIMIT:?} after the last fault");
        }
        Ok(done)
    }

    /// Lets everything come to rest, ends the product, and checks.
    async fn judge(mut self, args: &Args, seed: u64, done: Vec<Done>) -> anyhow::Result<Report> {
        let Self { ground, watchers, pressure, folder, kinds, left_out, beside } = &mut self;
        let (quiet, ledger) = quiesce::come_to_rest(ground, watchers).await?;
        ground.read_stream().await.context("cannot read the stream of events")?;
        beside.shutdown().await;
        for member in ground.world.members() {
            ground.end_in_good_order(member).await?;
        }

        let evidence = Evidence {
            kinds: kinds.clone(),
            left_out: left_out.clone(),
            submissions: ground.history.submissions(),
            wholes: ground.history.wholes(),
            blamed: ground.history.blamed(),
            ledger,
            watched: watchers.logs.iter().map(|log| log.watched()).collect(),
            feed: ground.feed.told(),
            resumes: watchers.resumes(),
            pressure: pressure.lock().unwrap().clone(),
            done,
            lives: ground.world.members().flat_map(Member::lives).collect(),
            quiet,
        };
        let violations = check(&evidence);
        let mut report = Report::new(args, seed, &ground.world.versions, &evidence, violations);
        if args.keep || !report.is_as_it_must_be() {
            report.kept = Some(folder.clone());
        } else {
            std::fs::remove_dir_all(folder).context("cannot remove the logs")?;
        }
        Ok(report)
    }
}

async fn carry_out_whole(args: &Args, seed: u64) -> anyhow::Result<Report> {
    let folder = std::env::temp_dir().join(format!("jetlane-campaign-{}", Uuid::now_v7().simple()));
    std::fs::create_dir(&folder).context("cannot make a folder for logs")?;
    eprintln!("campaign: logs and history are in {}", folder.display());
    let (kinds, left_out) = args.kinds()?;
    for what in &left_out {
        eprintln!("campaign: left out: {what}");
    }

    let campaign = Campaign::raise(args, seed, kinds, left_out, folder).await?;
    let done = campaign.rage(args, seed).await?;
    campaign.judge(args, seed, done).await
}

/// Hears what NATS is told for as long as the campaign lasts.
async fn hear(url: String, feed: Arc<Feed>) {
    if let Err(error) = listen(url, feed).await {
        eprintln!("campaign: the feed cannot be heard: {error:#}");
    }
}
