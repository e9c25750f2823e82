//! `preclear mapping new`: a folder that compiles, from a sample of the broker's message.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Done, input, io};
use crate::mapping::sketch::{Sketch, sketch};

const MANIFEST: &str = r#"title = "TITLE"
version = "0.1.0"
source = "where the format is described: title, version, page"
# No broker can use a draft. Take this line out when every {todo('…')} is decided; `preclear mapping check` lists them.
draft = true

# per_line: each line in its own currency; single: all lines alike; or a currency like "EUR".
currency = "per_line"

[transport]
content_type = "application/xml; charset=UTF-8"

# What the operator has to say for each broker. A template asks for it by {settings.declarant_eori}.
# [[settings]]
# name = "declarant_eori"
# type = "string"
# required = true
# example = "GB123456789000"
# description = "EORI of the declarant"
"#;
const TEMPLATE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Declaration xmlns:p="urn:preclear:mapping:1">
  <Reference>{message.lrn}</Reference>
  <Item p:each="line in contents">
    <Description>{line.description}</Description>
  </Item>
</Declaration>
"#;
const NOTICES: &str = r#"# What the broker sends back: replies, callbacks, answers to polls. Paths are XPath.
# [namespaces]
# r = "urn:the:namespace:of:the:reply"

[[notice]]
name = "reply"
each = "/Reply"
code = "Code"
lrn = "Reference"

[[notice.status]] # one row for each code that the broker's documentation names
code = "ACCEPTED"
status = "accepted"
"#;
const NOTICE: &str = "<Reply>\n  <Code>ACCEPTED</Code>\n  <Reference>EE123456785KR26112001</Reference>\n</Reply>\n";
const FACTS: &str = "[\n  {\n    \"track\": \"clearance\",\n    \"status\": \"accepted\",\n    \"lrn\": \"EE123456785KR26112001\",\n    \"code\": \"ACCEPTED\"\n  }\n]\n";
const DECLARATION: &str = include_str!("../../../examples/one.json");

pub(super) fn new(mappings: Option<&Path>, name: &str, sample: Option<&Path>, out: &mut dyn Write) -> Done {
    let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain {
        return Err("the name of a mapping has small letters, digits and -".to_owned());
    }
    let folder = mappings.unwrap_or(Path::new("mappings")).join(name);
    if folder.exists() {
        return Err(format!("{} is already there", folder.display()));
    }
    let sketched = match sample {
        None => Sketch { template: TEMPLATE.to_owned(), proposed: 2, undecided: 0 },
        Some(path) => {
            let text = String::from_utf8(input(path)?).map_err(|_| "the sample has to be UTF-8".to_owned())?;
            let shown = path.display().to_string();
            sketch(&shown, &text).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?
        }
    };
    let files = [
        ("mapping.toml", MANIFEST.replace("TITLE", name)),
        ("declaration.xml", sketched.template),
        ("notices.toml", NOTICES.to_owned()),
        ("cases/first/declaration.json", DECLARATION.to_owned()),
        ("cases/first/settings.toml", "# Settings of the broker, as in the configuration.\n".to_owned()),
        ("notices/accepted/notice.xml", NOTICE.to_owned()),
        ("notices/accepted/expected.json", FACTS.to_owned()),
    ];
    for (file, content) in files {
        let path = folder.join(file);
        write(&path, &content)?;
        writeln!(out, "{}", path.display()).map_err(io)?;
    }
    let Sketch { proposed, undecided, .. } = sketched;
    writeln!(out, "{} places: {proposed} proposed, {undecided} to decide", proposed + undecided).map_err(io)?;
    let given = mappings.map(|mappings| format!(" --mappings {}", mappings.display())).unwrap_or_default();
    writeln!(out, "next: preclear mapping explain {name} {}{given}", folder.join("cases/first/declaration.json").display()).map_err(io)?;
    Ok(0)
}

fn write(path: &PathBuf, content: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    std::fs::write(path, content).map_err(told)
}
