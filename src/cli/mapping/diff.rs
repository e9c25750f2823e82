//! `preclear mapping diff`: what a change of a mapping does to declarations.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use similar::{ChangeTag, TextDiff};

use super::{Done, context, counted, input, io, tell};
use crate::domain::declaration::Declaration;
use crate::domain::fault::Fault;
use crate::mapping::cases::{self, CaseContext};
use crate::mapping::{Broken, Mapping, Registry, Source, indented};

/// What happened to the messages of declarations.
#[derive(Default)]
struct Summary {
    same: usize,
    /// Of the same those that neither takes.
    both_refused: usize,
    differ: usize,
    newly_refused: usize,
    newly_taken: usize,
    refused_otherwise: usize,
    unreadable: usize,
    /// Elements in lines that differ, and how often.
    elements: BTreeMap<String, usize>,
}

pub(super) fn diff(
    folders: [&Path; 2],
    declarations: &[PathBuf],
    settings: Option<&Path>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Done {
    let context = context(settings)?;
    let (Some(old), Some(new)) = (load(folders[0], err)?, load(folders[1], err)?) else { return Ok(1) };
    let mut summary = Summary::default();
    for path in declarations {
        let bytes = input(path)?;
        for (place, one) in documents(&bytes).into_iter().enumerate() {
            let name = format!("{}:{}", path.display(), place + 1);
            match cases::declaration(one) {
                Ok(declaration) => compare(&context, [&old, &new], &declaration, &name, &mut summary, out).map_err(io)?,
                Err(problem) => {
                    summary.unreadable += 1;
                    writeln!(err, "{name}: {problem}").map_err(io)?;
                }
            }
        }
    }
    tell_summary(&summary, out).map_err(io)?;
    Ok(u8::from(summary.newly_refused + summary.unreadable > 0))
}

/// One JSON document, or one in each line.
fn documents(bytes: &[u8]) -> Vec<&[u8]> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        return vec![bytes];
    }
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect()
}

fn load(folder: &Path, err: &mut dyn Write) -> Result<Option<std::sync::Arc<Mapping>>, String> {
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = folder.file_name().and_then(std::ffi::OsStr::to_str).ok_or("a mapping is named by its folder")?;
    let (registry, broken) = Registry::load(&Source::Folder(above.to_owned()));
    if let Some(mapping) = registry.get(name) {
        return Ok(Some(mapping));
    }
    let broken: Vec<Broken> = broken.into_iter().filter(|broken| broken.name == name || broken.name.is_empty()).collect();
    if broken.is_empty() {
        return Err(format!("there is no mapping in {}", folder.display()));
    }
    tell(&broken, err)?;
    Ok(None)
}

type Made = Result<String, Vec<Fault>>;

fn compare(
    context: &CaseContext,
    mappings: [&Mapping; 2],
    declaration: &Declaration,
    name: &str,
    summary: &mut Summary,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let [old, new]: [Made; 2] = mappings.map(|mapping| {
        let made = context.messages(mapping, declaration, None)?;
        Ok(made.iter().map(|(_, rendered)| String::from_utf8_lossy(&indented(&rendered.bytes)).into_owned()).collect())
    });
    match (old, new) {
        (Ok(old), Ok(new)) if old == new => summary.same += 1,
        (Ok(old), Ok(new)) => {
            summary.differ += 1;
            writeln!(out, "{name}: another message")?;
            show(&old, &new, summary, out)?;
        }
        (Ok(_), Err(faults)) => {
            summary.newly_refused += 1;
            writeln!(out, "{name}: now refused\n{}", cases::list(&faults))?;
        }
        (Err(_), Ok(_)) => {
            summary.newly_taken += 1;
            writeln!(out, "{name}: now taken")?;
        }
        (Err(old), Err(new)) if old == new => {
            summary.same += 1;
            summary.both_refused += 1;
        }
        (Err(_), Err(faults)) => {
            summary.refused_otherwise += 1;
            writeln!(out, "{name}: refused for other reasons\n{}", cases::list(&faults))?;
        }
    }
    Ok(())
}

fn show(old: &str, new: &str, summary: &mut Summary, out: &mut dyn Write) -> std::io::Result<()> {
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        let line = change.value().trim_end();
        writeln!(out, "  {sign} {line}")?;
        let name = line.trim_start().trim_start_matches(['<', '/']);
        let end = name.find([' ', '>', '/']).unwrap_or(name.len());
        *summary.elements.entry(name[..end].to_owned()).or_default() += 1;
    }
    Ok(())
}

fn tell_summary(summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let Summary { same, both_refused, differ, newly_refused, newly_taken, refused_otherwise, unreadable, elements } = summary;
    let refused = if *both_refused > 0 { format!(" ({both_refused} of them refused both times)") } else { String::new() };
    let all = same + differ + newly_refused + newly_taken + refused_otherwise;
    writeln!(
        out,
        "{}: {same} the same{refused}, {differ} another message, {newly_refused} now refused, {newly_taken} now taken, \
         {refused_otherwise} refused for other reasons, {unreadable} unreadable",
        counted((all, "declaration"))
    )?;
    if !elements.is_empty() {
        let mut list: Vec<_> = elements.iter().collect();
        list.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let shown: Vec<String> = list.iter().take(20).map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(out, "lines that differ, by element: {}", shown.join(", "))?;
    }
    Ok(())
}
