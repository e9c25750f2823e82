//! From the files of a mapping to the mapping, with every fault of every file.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::codes::CodeList;
use super::faults::{self, MappingFault};
use super::manifest::{self, Manifest};
use super::templates::Template;
use super::{Files, Mapping, fieldmap, messages, rules};

impl Mapping {
    /// Compiles the files of a mapping.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(files: &Files) -> Result<Self, Vec<MappingFault>> {
        let mut all = Found::default();
        let manifest = match text_of(files, "mapping.toml") {
            Ok(Some(text)) => with_faults(&files.name, "mapping.toml", text, &mut all, manifest::read),
            Ok(None) => {
                all.faults.push(whole_file(&files.name, "mapping.toml", "the file is missing"));
                Manifest::unread()
            }
            Err(fault) => {
                all.faults.push(fault);
                Manifest::unread()
            }
        };
        let codes = load_codes(files, &mut all.faults);
        let mut templates = Vec::new();
        for part in &manifest.messages {
            let file = part.file();
            match text_of(files, &file) {
                Ok(None) if part.named => all.faults.push(whole_file(&files.name, &file, "the file is missing, and [messages] names it")),
                Ok(None) => {}
                Err(fault) => all.faults.push(fault),
                Ok(Some(text)) => {
                    let mut template = with_faults(&files.name, &file, text, &mut all, |text, faults| {
                        Template::compile(part, text, &manifest, &codes, faults)
                    });
                    if let Ok(Some(toml)) = text_of(files, "mapping.toml") {
                        template.when = with_faults(&files.name, "mapping.toml", toml, &mut all, |_, faults| {
                            messages::condition(part, &manifest, &codes, faults)
                        });
                    }
                    templates.push(template);
                }
            }
        }
        if files.get("declaration.xml").is_none() && !manifest.messages.iter().any(|part| part.named && part.template == "declaration") {
            all.faults.push(whole_file(&files.name, "declaration.xml", "the file is missing"));
        }
        let rules = match text_of(files, "notices.toml") {
            Ok(None) => rules::Rules::default(),
            Ok(Some(text)) => with_faults(&files.name, "notices.toml", text, &mut all, |text, faults| rules::read(text, &codes, faults)),
            Err(fault) => {
                all.faults.push(fault);
                rules::Rules::default()
            }
        };
        unknown_files(files, &manifest, &mut all.faults);
        if !all.faults.is_empty() {
            return Err(all.faults);
        }
        let version = format!("{}+{}", manifest.version, files.hash());
        let fields = fieldmap::FieldMap::new(templates.iter().map(|template| &template.program));
        Ok(Self {
            name: files.name.clone(),
            version,
            manifest,
            templates,
            codes,
            rules,
            fields,
            warnings: all.warnings,
            capacity: AtomicUsize::new(2048),
        })
    }
}

/// What is told of all files.
#[derive(Default)]
struct Found {
    faults: Vec<MappingFault>,
    warnings: Vec<MappingFault>,
}

fn whole_file(mapping: &str, file: &str, message: &str) -> MappingFault {
    MappingFault { file: format!("{mapping}/{file}"), line: 0, column: 0, message: message.to_owned(), suggestion: None }
}

fn text_of<'f>(files: &'f Files, file: &str) -> Result<Option<&'f str>, MappingFault> {
    match files.get(file).map(std::str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.strip_prefix('\u{feff}').unwrap_or(text))),
        Some(Err(_)) => Err(whole_file(&files.name, file, "the file has to be UTF-8")),
    }
}

fn with_faults<'t, T>(
    mapping: &str,
    file: &str,
    text: &'t str,
    all: &mut Found,
    read: impl FnOnce(&'t str, &mut faults::FileFaults<'t>) -> T,
) -> T {
    let name = format!("{mapping}/{file}");
    let mut faults = faults::FileFaults::new(name, text);
    let value = read(text, &mut faults);
    all.warnings.extend(faults.take_warnings());
    all.faults.extend(faults.into_vec());
    value
}

fn load_codes(files: &Files, all: &mut Vec<MappingFault>) -> Vec<Arc<CodeList>> {
    let mut lists = Vec::new();
    for (path, bytes) in files.below("codes", ".csv") {
        let name = path.trim_start_matches("codes/").trim_end_matches(".csv");
        // A list with faults is there all the same: its uses are none.
        let (list, faults) = CodeList::read(name, &format!("{}/{path}", files.name), bytes);
        lists.push(Arc::new(list));
        all.extend(faults);
    }
    lists
}

/// A misspelt file would silently do nothing: it is a fault.
fn unknown_files(files: &Files, manifest: &Manifest, all: &mut Vec<MappingFault>) {
    let templates = manifest.messages.iter().map(messages::Part::file);
    let known: Vec<String> = templates.chain(["mapping.toml".to_owned(), "notices.toml".to_owned()]).collect();
    for path in files.files.keys() {
        let documents = path.ends_with(".md") || path.starts_with("cases/") || path.starts_with("notices/");
        let codes = path.starts_with("codes/") && path.ends_with(".csv");
        let template = !manifest.readable && !path.contains('/') && path.ends_with(".xml");
        if !documents && !codes && !template && !known.contains(path) {
            let mut fault = whole_file(&files.name, path, "a mapping has no such file");
            fault.suggestion = faults::nearest(path, known.iter().map(String::as_str));
            all.push(fault);
        }
    }
}
