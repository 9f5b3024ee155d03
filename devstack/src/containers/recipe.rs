//! What a container is made of.

use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, Image, ImageExt, TestcontainersError};
use testcontainers_modules::{nats, postgres};

/// Which module of testcontainers a container is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Postgres,
    Nats,
}

/// All that the engine is told of a container.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) base: Base,
    /// The image, as one writes it for Docker.
    pub(crate) image: String,
    /// What the container is called.
    pub(crate) name: String,
    /// Ports of our loopback, and the container's ports that they lead to.
    pub(crate) ports: Vec<(u16, u16)>,
    /// What the image's entry point reads.
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    /// Files that the container finds: path and content.
    pub(crate) files: Vec<(&'static str, String)>,
    /// The server's arguments.
    pub(crate) arguments: Vec<String>,
    /// How much memory its processes may share, in bytes, if not what the engine gives.
    pub(crate) shared_memory: Option<u64>,
}

impl Recipe {
    /// Makes the container and starts it. Does not wait until it is ready, which connecting tells
    /// more surely than a line of its log.
    pub(super) async fn run(&self) -> Result<(), TestcontainersError> {
        match self.base {
            Base::Postgres => {
                let image = postgres::Postgres::default().with_host_auth().with_fsync_enabled();
                start(self.request(image)).await
            }
            Base::Nats => start(self.request(nats::Nats::default())).await,
        }
    }

    fn request<I: Image>(&self, image: I) -> ContainerRequest<I> {
        let (name, tag) = name_and_tag(&self.image);
        let mut request = image
            .with_name(name)
            .with_tag(tag)
            .with_container_name(&self.name)
            .with_cmd(&self.arguments)
            .with_ready_conditions(Vec::new())
            .with_host_config_modifier(|config| {
                // Nobody but this machine: the servers trust whoever connects.
                let ports = config.port_bindings.iter_mut().flat_map(|ports| ports.values_mut());
                for binding in ports.flatten().flatten() {
                    binding.host_ip = Some("127.0.0.1".to_owned());
                }
            });
        if let Some(bytes) = self.shared_memory {
            request = request.with_shm_size(bytes);
        }
        for (ours, theirs) in &self.ports {
            request = request.with_mapped_port(*ours, theirs.tcp());
        }
        for (name, value) in &self.variables {
            request = request.with_env_var(*name, *value);
        }
        for (path, content) in &self.files {
            request = request.with_copy_to(*path, content.clone().into_bytes());
        }
        request
    }
}

/// Leaves the container to its guard. The handle of testcontainers would remove it when dropped,
/// needs a runtime for that, and a server outlives the runtime that started it.
async fn start<I: Image>(request: ContainerRequest<I>) -> Result<(), TestcontainersError> {
    std::mem::forget(request.start().await?);
    Ok(())
}

/// Has the engine fetch `image`.
pub(super) async fn pull(image: &str) -> Result<(), TestcontainersError> {
    let (name, tag) = name_and_tag(image);
    GenericImage::new(name, tag).pull_image().await.map(drop)
}

/// What stands before and after the last colon that is not a registry's port; `latest` if nothing
/// does. A digest ends up as a tag, and comes out right when both are put together again.
fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_as_for_docker() {
        for (image, name, tag) in [
            ("postgres:18-alpine", "postgres", "18-alpine"),
            ("postgres", "postgres", "latest"),
            ("localhost:5000/team/postgres", "localhost:5000/team/postgres", "latest"),
            ("localhost:5000/postgres:18", "localhost:5000/postgres", "18"),
            ("postgres@sha256:0123", "postgres@sha256", "0123"),
        ] {
            assert_eq!(name_and_tag(image), (name, tag));
        }
    }
}
