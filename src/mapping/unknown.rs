//! What to tell an analyst whose notice no rule knows: what it is, and what the rules look for.
//!
//! Only for the command line. It repeats a name of the broker's document, which no log, metric or answer of the gateway may do.

use super::dom::{Buffers, Builder};
use super::reading::{MAX_REFERENCE, bounded};
use super::{Mapping, json_body, xml};
use crate::mapping::reading::MAX_NOTICE_BYTES;

impl Mapping {
    /// The root of a notice and the places of `notices.toml` that look for another, in lines.
    pub fn unknown_format(&self, bytes: &[u8]) -> String {
        let mut told = format!("the root is {}; the rules look for", root(&self.rules.namespaces, bytes).unwrap_or_default());
        for rule in &self.rules.notices {
            told.push_str(&format!("\n  {}/notices.toml:{}: {}", self.name, rule.line, rule.shown));
        }
        if self.rules.notices.is_empty() {
            told.push_str(" nothing: there is no notices.toml");
        }
        told
    }
}

/// `{namespace}name` of the root element.
fn root(namespaces: &[String], bytes: &[u8]) -> Option<String> {
    let (text, buffers) = (xml::text(bytes, MAX_NOTICE_BYTES).ok()?, Buffers::default());
    let mut builder = Builder::new(namespaces, bytes.len());
    let read = if xml::is_json(bytes) { json_body::read(&mut builder, text, &buffers) } else { xml::read(&mut builder, text) };
    read.ok()?;
    let dom = builder.finish();
    let name = dom.children(0).find_map(|node| dom.name(node))?;
    Some(bounded(&format!("{{{}}}{}", dom.uri(name.namespace), name.local), MAX_REFERENCE))
}

/// A path with the namespaces of its prefixes: `/s:Status with s = urn:status`.
pub(super) fn shown(path: &str, namespaces: &[(String, String)]) -> String {
    let used: Vec<String> = namespaces
        .iter()
        .filter(|(prefix, _)| {
            let name = format!("{prefix}:");
            path.match_indices(&name).any(|(at, _)| !path[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        })
        .map(|(prefix, uri)| format!("{prefix} = {uri}"))
        .collect();
    if used.is_empty() { path.trim().to_owned() } else { format!("{} with {}", path.trim(), used.join(", ")) }
}
