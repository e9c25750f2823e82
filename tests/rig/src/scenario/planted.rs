//! The judge judged: five planted bugs, each of which has to be seen. A bar that passes its control is no bar.

use crate::options::Options;
use crate::scenario::disk::system;
use crate::stage::folder;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One patch: its first line is `# scenario: NAME [OPTION VALUE…]`.
struct Bug {
    name: String,
    patch: PathBuf,
    arguments: Vec<String>,
}

fn bugs(source: &Path, only: Option<&str>) -> Result<Vec<Bug>> {
    let mut bugs = Vec::new();
    for entry in std::fs::read_dir(source.join("tests/rig/planted"))? {
        let patch = entry?.path();
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if patch.extension().is_none_or(|extension| extension != "patch") || only.is_some_and(|only| only != name) {
            continue;
        }
        let text = std::fs::read_to_string(&patch)?;
        let first = text.lines().next().and_then(|line| line.strip_prefix("# scenario: ")).context("a patch names its scenario first")?;
        bugs.push(Bug { name, arguments: first.split_whitespace().map(str::to_owned).collect(), patch });
    }
    bugs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(bugs)
}

/// Copies, patches, builds, and runs each bug's scenario, which has to fail by a breach.
pub async fn run(options: &Options) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let place = folder(options, "planted")?;
    // A target folder that others have filled saves the build of all dependencies.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| place.join("target"), PathBuf::from);
    let tree = place.join("tree");
    let bugs = bugs(&options.source, options.only.as_deref())?;
    for bug in &bugs {
        copy(&options.source, &tree)?;
        let (tree_text, patch_text) = (tree.display().to_string(), bug.patch.display().to_string());
        system("patch", &["-p1", "--fuzz=3", "--no-backup-if-mismatch", "-d", &tree_text, "-i", &patch_text])?;
        let built = Command::new("cargo").args(["build", "--locked"]).current_dir(&tree).env("CARGO_TARGET_DIR", &target).status()?;
        anyhow::ensure!(built.success(), "{} does not build", bug.name);
        let words = ["--bin".to_owned(), target.join("debug/preclear").display().to_string(), "--seed".into(), options.seed.to_string()];
        let out = ["--out".to_owned(), place.join(&bug.name).display().to_string()];
        let run = Options::read(words.into_iter().chain(out).chain(bug.arguments.iter().cloned()))?;
        let part = Box::pin(super::run(&run.scenario, &run)).await?;
        eprintln!("{}", part.line(&bug.name, options.seed, 0.0));
        verdict.count(&bug.name, if part.word() == "failed" { "caught".to_owned() } else { format!("NOT caught: {}", part.word()) });
        verdict.hold(part.word() == "failed", || format!("{} was not caught by {}", bug.name, run.scenario));
    }
    verdict.void_unless(!bugs.is_empty(), "no bug was planted");
    if options.out.is_none() {
        std::fs::remove_dir_all(&place).ok();
    }
    Ok(verdict)
}

/// The sources without what was built of them; files keep their times, so that only what a patch touches is built anew.
fn copy(source: &Path, tree: &Path) -> Result<()> {
    std::fs::create_dir_all(tree)?;
    let (from, to) = (source.display().to_string(), tree.display().to_string());
    let command = format!(
        "set -e; cd '{to}'; rm -rf ./*; cd '{from}'; tar -cf - --exclude=./target --exclude=./tests/rig/target --exclude=./.git . | tar -xf - -C '{to}'"
    );
    system("sh", &["-c", &command])?;
    Ok(())
}
