//! A server in a container, and its guard.
//!
//! The engine is asked anew for each thing, by the container's name: a server may serve, and
//! outlive, many async runtimes, and a client's connections belong to one.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::query_parameters::{
    KillContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;
use tokio::time::{sleep, timeout};

use super::engine::is_missing;
use super::{Engine, Recipe, guard};
use crate::ended::Ended;
use crate::error::DevstackError;
use crate::guard::{Guard, LIMIT};
use crate::last_words::{self, of_error};
use crate::product::Product;
use crate::ready::{START, until_ready};

/// How long a server may take to end in good order before its engine kills it, in seconds.
const GRACE: i32 = 20;

/// How often an engine that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// A server in a container, and its guard.
#[derive(Debug)]
pub(crate) struct Container {
    product: &'static Product,
    recipe: Recipe,
    guard: Guard,
    /// Whether the engine has the container, running or not.
    is_made: bool,
}

impl Container {
    /// Starts the guard of a container, but makes no container yet.
    pub(crate) fn new(
        product: &'static Product,
        engine: &Engine,
        recipe: Recipe,
    ) -> Result<Self, DevstackError> {
        let guard = guard::spawn(engine, &recipe.name)
            .map_err(DevstackError::io(format!("start the guard of {}", product.name)))?;
        Ok(Self { product, recipe, guard, is_made: false })
    }

    /// Whether it runs, as its engine says.
    pub(crate) async fn is_running(&self) -> Result<bool, DevstackError> {
        let inspected = self
            .ask("inspect", async |docker, name| match docker.inspect_container(name, None).await {
                Err(error) if is_missing(&error) => Ok(None),
                found => found.map(Some),
            })
            .await?;
        let state = inspected.and_then(|container| container.state);
        Ok(state.and_then(|state| state.running).unwrap_or(false))
    }

    /// Starts it, made anew if it must be, and waits until `probe` finds it ready. Does nothing if
    /// it runs.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Exited`] as soon as the server gives up, with its reason, or the engine's.
    pub(crate) async fn start<F>(&mut self, probe: impl Fn() -> F) -> Result<(), DevstackError>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        if self.is_running().await? {
            return Ok(());
        }
        if self.is_made {
            self.start_made().await?;
        } else {
            self.make().await?;
        }

        tokio::select! {
            ready = until_ready(probe) => {
                if ready { Ok(()) } else { Err(self.too_slow("get ready", START)) }
            }
            () = self.stopped() => Err(self.exited(self.last_words().await)),
        }
    }

    async fn start_made(&self) -> Result<(), DevstackError> {
        let start = async |docker: &Docker, name: &str| docker.start_container(name, None).await;
        match self.ask("start", start).await {
            Err(DevstackError::Engine { source, .. }) => Err(self.exited(of_error(&*source))),
            done => done,
        }
    }

    /// Makes it and starts it. One that could not be started is removed again.
    async fn make(&mut self) -> Result<(), DevstackError> {
        // Without a guard there must be no container.
        self.note("making")?;
        let run = match timeout(START, self.recipe.run()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.exited(of_error(&error))),
            Err(_) => Err(self.too_slow("start", START)),
        };
        match &run {
            Ok(()) => self.is_made = true,
            // What cannot be removed now, the guard removes in the end.
            Err(_) => drop(self.remove().await),
        }
        self.note("made")?;
        run
    }

    fn note(&mut self, word: &str) -> Result<(), DevstackError> {
        let action = format!("tell the guard of {}", self.product.name);
        self.guard.note(word).map_err(DevstackError::io(action))
    }

    /// Ends it by SIGKILL. Does nothing if it does not run.
    pub(crate) async fn kill(&mut self) -> Result<(), DevstackError> {
        if !self.is_running().await? {
            return Ok(());
        }
        let kill = async |docker: &Docker, name: &str| {
            docker.kill_container(name, None::<KillContainerOptions>).await
        };
        self.ask("kill", kill).await?;
        timeout(LIMIT, self.stopped()).await.map_err(|_| self.too_slow("die", LIMIT))
    }

    /// Ends it by the signal that its image says; its data stays. Does nothing if it does not run.
    pub(crate) async fn stop(&mut self) -> Result<(), DevstackError> {
        if !self.is_running().await? {
            return Ok(());
        }
        let grace = StopContainerOptionsBuilder::new().t(GRACE).build();
        let stop = async |docker: &Docker, name: &str| {
            docker.stop_container(name, Some(grace.clone())).await
        };
        self.ask("stop", stop).await
    }

    /// Removes it with all that it holds, if it is there. The next start makes another one.
    pub(crate) async fn remove(&mut self) -> Result<(), DevstackError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let remove = async |docker: &Docker, name: &str| match docker
            .remove_container(name, Some(options.clone()))
            .await
        {
            Err(error) if is_missing(&error) => Ok(()),
            done => done,
        };
        self.ask("remove", remove).await?;
        self.is_made = false;
        Ok(())
    }

    /// Ends it for good, the container and its guard.
    pub(crate) async fn end(self) -> Result<(), DevstackError> {
        let too_slow = self.too_slow("stop", LIMIT);
        if self.guard.end().await { Ok(()) } else { Err(too_slow) }
    }

    /// Waits until it does not run, as its engine says, and returns what is known of its end. An
    /// engine that does not answer says nothing of the server.
    pub(crate) async fn ended(&self) -> Ended {
        loop {
            self.stopped().await;
            if matches!(self.is_running().await, Ok(false)) {
                break;
            }
            sleep(PAUSE).await;
        }
        let (name, last_words) = (self.product.name, self.last_words().await);
        Ended { name, pid: None, status: None, last_words }
    }

    /// Waits until it does not run. An engine that cannot say so any more is as good.
    async fn stopped(&self) {
        if let Ok(docker) = docker_client_instance().await {
            drop(docker.wait_container(&self.recipe.name, None).next().await);
        }
    }

    /// What it has logged last, on one line.
    async fn last_words(&self) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("4").build();
        let read = self.ask("read the log of", async |docker, name| {
            docker.logs(name, Some(options.clone())).try_collect::<Vec<_>>().await
        });
        let lines = read.await.unwrap_or_default();
        last_words::of_log(&lines.iter().map(ToString::to_string).collect::<String>())
    }

    /// Asks the engine about the container.
    async fn ask<T>(
        &self,
        action: &'static str,
        question: impl AsyncFn(&Docker, &str) -> Result<T, Error>,
    ) -> Result<T, DevstackError> {
        let failed = |source| DevstackError::Engine {
            action: format!("{action} the container of {}", self.product.name),
            source,
        };
        let answer = async {
            let docker = docker_client_instance().await.map_err(|error| failed(error.into()))?;
            question(&docker, &self.recipe.name).await.map_err(|error| failed(error.into()))
        };
        timeout(LIMIT, answer).await.unwrap_or_else(|_| Err(self.too_slow(action, LIMIT)))
    }

    fn exited(&self, log: String) -> DevstackError {
        DevstackError::Exited { product: self.product.name, log }
    }

    fn too_slow(&self, action: &'static str, limit: Duration) -> DevstackError {
        DevstackError::TooSlow { product: self.product.name, action, seconds: limit.as_secs() }
    }
}
