//! A disk of the servers' own, whose power can fail: a file system in an image
//! file, which holds just what was flushed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use uuid::Uuid;

/// Far more than a campaign writes; the image is sparse.
const SIZE: u64 = 16 << 30;

/// How many seconds the file system may keep what nobody asked it to flush, so
/// that nothing but flushes decides what a power loss leaves.
const COMMIT: u32 = 300;

/// A mounted file system in an image file. Unmounted and removed when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Makes and mounts one. Only root may.
    ///
    /// # Errors
    ///
    /// If the system's tools do not succeed; nothing is left then.
    pub(super) fn mount() -> anyhow::Result<Self> {
        let name = format!("jetlane-disk-{}", Uuid::now_v7().simple());
        let this = Self { folder: std::env::temp_dir().join(name) };
        fs::create_dir_all(this.path()).context("cannot make a folder for the disk")?;
        fs::File::create(this.image())?.set_len(SIZE)?;
        // Its tables are flushed before anything relies on them.
        let image = this.image();
        run(Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0"]).arg(&image))?;
        let options = format!("loop,commit={COMMIT}");
        run(Command::new("mount").args(["-o", &options]).arg(&image).arg(this.path()))?;
        Ok(this)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("disk")
    }

    fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// What the disk would hold if its power failed now, mounted elsewhere.
    /// Nobody may write meanwhile.
    ///
    /// # Errors
    ///
    /// If the system's tools do not succeed.
    pub(crate) fn remains(&self) -> anyhow::Result<Remains> {
        let remains = Remains { folder: self.folder.join("remains") };
        fs::create_dir_all(remains.path()).context("cannot make a folder for the copy")?;
        let copy = remains.folder.join("image");
        run(Command::new("cp").arg("--sparse=always").arg(self.image()).arg(&copy))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&copy).arg(remains.path()))?;
        Ok(remains)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path(), &self.folder);
    }
}

/// What a power loss has left.
#[derive(Debug)]
pub(crate) struct Remains {
    folder: PathBuf,
}

impl Remains {
    fn path(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Replaces a folder of the disk by what is left of it; the folder itself,
    /// which a guard has locked, stays. Returns how many files the loss has
    /// changed or taken.
    ///
    /// # Errors
    ///
    /// If the system's tools do not succeed.
    pub(crate) fn replace(&self, disk: &Disk, name: &str) -> anyhow::Result<u64> {
        let (whole, left) = (disk.path().join(name), self.path().join(name));
        let lost = unequal(&whole, &left)?;
        for entry in fs::read_dir(&whole)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            }
        }
        for entry in fs::read_dir(&left)? {
            let path = entry?.path();
            if path.is_dir() {
                run(Command::new("cp").args(["--archive"]).arg(&path).arg(&whole))?;
            }
        }
        Ok(lost)
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        unmount(&self.path(), &self.folder);
    }
}

/// In how many files the two folders differ.
fn unequal(one: &Path, other: &Path) -> anyhow::Result<u64> {
    let compared = Command::new("diff")
        .args(["--recursive", "--brief"])
        .args([one, other])
        .output()
        .context("cannot run diff")?;
    Ok(String::from_utf8_lossy(&compared.stdout).lines().count() as u64)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", error.trim());
    Ok(())
}

/// Lazily: a process that was just killed may still be leaving.
fn unmount(mounted: &Path, folder: &Path) {
    let unmounted = run(Command::new("umount").arg("--lazy").arg(mounted));
    // Never through a mount that is still there.
    if unmounted.is_ok() || fs::read_dir(mounted).is_ok_and(|mut entries| entries.next().is_none())
    {
        let _ = fs::remove_dir_all(folder);
    }
}
