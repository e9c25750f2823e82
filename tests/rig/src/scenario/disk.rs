//! A disk of its own for the store: one that can be filled, and one whose power can be cut.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a command of the system; its failure says what it printed.
pub fn system(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether we may mount.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Something mounted, taken down at the end whatever happened.
pub struct Mounted {
    /// Where.
    pub path: PathBuf,
}

impl Mounted {
    /// A tmpfs of a size in MiB.
    pub fn small(path: &Path, mib: u32) -> Result<Mounted> {
        std::fs::create_dir_all(path)?;
        system("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "rig", &path.display().to_string()])?;
        Ok(Mounted { path: path.to_owned() })
    }

    /// An image with ext4 over a loop device.
    pub fn image(image: &Path, path: &Path) -> Result<Mounted> {
        std::fs::create_dir_all(path)?;
        system("mount", &["-o", "loop", &image.display().to_string(), &path.display().to_string()])?;
        Ok(Mounted { path: path.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = self.path.display().to_string();
        if system("umount", &[&path]).is_err() {
            system("umount", &["-l", &path]).ok();
        }
    }
}

/// A new image with an empty ext4 of a size in MiB.
pub fn new_image(image: &Path, mib: u64) -> Result<()> {
    std::fs::File::create(image)?.set_len(mib << 20)?;
    system("mkfs.ext4", &["-q", "-F", &image.display().to_string()])?;
    Ok(())
}

/// The kernel's habit of writing dirty pages back by itself, switched off for as long as this lives.
pub struct NoWriteback {
    before: String,
}

const WRITEBACK: &str = "/proc/sys/vm/dirty_writeback_centisecs";

impl NoWriteback {
    /// Switches it off.
    pub fn begin() -> Result<NoWriteback> {
        let before = std::fs::read_to_string(WRITEBACK)?;
        std::fs::write(WRITEBACK, "0")?;
        Ok(NoWriteback { before })
    }
}

impl Drop for NoWriteback {
    fn drop(&mut self) {
        std::fs::write(WRITEBACK, self.before.trim()).ok();
    }
}
