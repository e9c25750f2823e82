//! `[poll]` of `notices.toml`: how notices are asked for where the broker does not call.
//!
//! The poll address answers a list whose entries are fetched one by one and acknowledged, or without
//! `each` the notice itself. Here are only the rules and the addresses that follow from them; who asks,
//! when, and what is stored is the callback station's.
//!
//! Invariants: an id from a list can only become one segment below the poll address, never another
//! host, path or query; the entries of a list are bounded in number and length.

use super::dom::Buffers;
use super::faults::{FileFaults, Remark};
use super::find::{Finder, Found};
use super::reading::{self, Unreadable, UnreadableReason};
use super::tables::{Table, Text};
use super::xpath::{self, Path, Prefixes};
use crate::choice;

/// Most entries that are read of one list; the rest stands in the next, when these are acknowledged.
pub const MAX_ENTRIES: usize = 1000;
/// Longest id, in characters.
const MAX_ID: usize = 255;

choice! {
    /// How a notice is acknowledged.
    pub enum AcknowledgeMethod {
        /// It is taken off the list.
        Delete = "DELETE",
        /// Told so.
        Post = "POST",
        /// Marked so.
        Put = "PUT",
    }
}

/// How notices are asked for.
#[derive(Debug)]
pub struct Poll {
    entries: Option<Entries>,
    acknowledge: Option<(AcknowledgeMethod, Address)>,
}

#[derive(Debug)]
struct Entries {
    each: Path,
    id: Path,
    fetch: Address,
    /// Those that the paths name.
    namespaces: Vec<String>,
}

/// What stands behind the poll address, before and after the id.
#[derive(Debug)]
struct Address {
    before: String,
    after: Option<String>,
}

impl Poll {
    /// Whether the poll address answers a list; else its answer is the notice.
    pub const fn lists(&self) -> bool {
        self.entries.is_some()
    }

    /// Whether what is stored is acknowledged.
    pub const fn acknowledges(&self) -> bool {
        self.acknowledge.is_some()
    }

    /// Where the notice of an entry is. None for an id that cannot be one segment of a path.
    pub fn fetch(&self, poll: &url::Url, id: &str) -> Option<url::Url> {
        self.entries.as_ref()?.fetch.of(poll, Some(id))
    }

    /// How and where a notice is acknowledged.
    pub fn acknowledge(&self, poll: &url::Url, id: Option<&str>) -> Option<(AcknowledgeMethod, url::Url)> {
        let (method, address) = self.acknowledge.as_ref()?;
        Some((*method, address.of(poll, id)?))
    }

    /// The ids of a list, in its order, each once.
    pub(super) fn ids(&self, body: &[u8]) -> Result<Vec<String>, Unreadable> {
        let Some(entries) = &self.entries else { return Ok(Vec::new()) };
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        let buffers = Buffers::default();
        let dom = reading::body(&entries.namespaces, body, &buffers)?;
        let mut finder = Finder::new(&dom);
        let nodes = finder.find(&entries.each, Found::Node(0))?;
        let mut ids: Vec<String> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for node in nodes.iter().take(MAX_ENTRIES) {
            let id = finder.text(&entries.id, *node)?.filter(|id| segment(id).is_some()).map(std::borrow::Cow::into_owned);
            ids.extend(id.filter(|id| known.insert(id.clone())));
        }
        // Entries of which none has an id are not the list that the rules were written for.
        if ids.is_empty() && !nodes.is_empty() { Err(UnreadableReason::UnknownFormat.into()) } else { Ok(ids) }
    }
}

impl Address {
    fn of(&self, poll: &url::Url, id: Option<&str>) -> Option<url::Url> {
        let mut base = poll.clone();
        base.set_query(None);
        base.set_fragment(None);
        let mut text = format!("{}{}", base.as_str().trim_end_matches('/'), self.before);
        if let Some(after) = &self.after {
            text.push_str(&segment(id?)?);
            text.push_str(after);
        }
        url::Url::parse(&text).ok().filter(|url| url.origin() == poll.origin())
    }
}

/// An id percent-encoded as one segment (RFC 3986, 2.3: all but unreserved characters); `.` and `..`
/// would lead elsewhere however they are written.
fn segment(id: &str) -> Option<String> {
    if id.is_empty() || id.chars().count() > MAX_ID || matches!(id, "." | "..") {
        return None;
    }
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(text)
}

/// Reads the table `[poll]`.
pub(super) fn read(mut table: Table<'_>, prefixes: &Prefixes, faults: &mut FileFaults<'_>) -> Option<Poll> {
    let lists = table.has("each") || table.has("id") || table.has("fetch");
    let entries = if lists { entries(&mut table, prefixes, faults) } else { None };
    let mut acknowledge = None;
    if let Some(mut inner) = table.table("acknowledge", faults) {
        let method = match inner.text("method", faults) {
            None => Some(AcknowledgeMethod::Delete),
            Some(text) => {
                let method = AcknowledgeMethod::parse(text.text);
                if method.is_none() {
                    let words = AcknowledgeMethod::WORDS;
                    faults.at(text.at, Remark::unknown(format!("one of: {}", words.join(", ")), text.text, words.iter().copied()));
                }
                method
            }
        };
        let address = inner.needed("url", faults).and_then(|text| address(&text, faults));
        if let (false, Some(Address { after: Some(_), .. })) = (lists, &address) {
            faults.at(inner.at(), "there is no {id} without `each`: the poll's answer is itself the notice");
        }
        inner.finish(faults);
        acknowledge = method.zip(address);
    }
    table.finish(faults);
    (entries.is_some() || !lists).then_some(Poll { entries, acknowledge })
}

fn entries(table: &mut Table<'_>, prefixes: &Prefixes, faults: &mut FileFaults<'_>) -> Option<Entries> {
    let mut path = |table: &mut Table<'_>, key| {
        let text = table.needed(key, faults)?;
        xpath::parse(text.text, prefixes).map_err(|(at, remark)| faults.at(text.at + at, remark)).ok()
    };
    let (each, id) = (path(table, "each"), path(table, "id"));
    let fetch = match table.text("fetch", faults) {
        None => Some(Address { before: "/".to_owned(), after: Some(String::new()) }),
        Some(text) => {
            let fetch = address(&text, faults);
            if fetch.as_ref().is_some_and(|fetch| fetch.after.is_none()) {
                faults.at(text.at, "the address of an entry has {id} in it");
            }
            fetch
        }
    };
    Some(Entries { each: each?, id: id?, fetch: fetch?, namespaces: prefixes.uris.clone() })
}

/// `{url}`, then what follows it, with `{id}` at most once.
fn address(text: &Text<'_>, faults: &mut FileFaults<'_>) -> Option<Address> {
    let told = (text.at, "an address is {url}, then what follows it from a / or ? on, with {id} once: \"{url}/{id}\"");
    let found = text.text.strip_prefix("{url}").and_then(|rest| {
        let (before, after) = match rest.split_once("{id}") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let begins = before.starts_with(['/', '?']) || (rest.is_empty());
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_graphic() && !b"{}#\\\"<>".contains(&b));
        (begins && plain(before) && after.is_none_or(plain)).then(|| Address { before: before.to_owned(), after: after.map(str::to_owned) })
    });
    if found.is_none() {
        faults.at(told.0, told.1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::rules;

    const NOTICE: &str = "[[notice]]\nname = 'n'\neach = '/n'\n[[notice.status]]\nnote = 'x'\n";

    fn parse(text: &str) -> Result<Poll, Vec<String>> {
        let text = format!("{text}\n{NOTICE}");
        let mut faults = FileFaults::new("m/notices.toml".to_owned(), &text);
        let poll = rules::read(&text, &[], &mut faults).poll;
        let faults: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
        if faults.is_empty() { Ok(poll.expect("a poll")) } else { Err(faults) }
    }

    const LIST: &str =
        "[namespaces]\no = 'urn:o'\n[poll]\neach = '/o:outcomes/o:outcome'\nid = 'o:id'\n[poll.acknowledge]\nurl = '{url}/{id}'";

    #[test]
    fn a_list_gives_ids_and_addresses_below_the_poll_address() {
        let poll = parse(LIST).expect("good");
        let list = b"<outcomes xmlns='urn:o'><outcome><id>a/..%2f?x#1</id></outcome><outcome><id>a/..%2f?x#1</id></outcome>\
            <outcome><id>..</id></outcome><outcome/><outcome><id> 26GB-1 </id></outcome></outcomes>";
        let ids = poll.ids(list).expect("read");
        assert_eq!(ids, ["a/..%2f?x#1", "26GB-1"]);
        for base in ["https://broker.example/outcomes", "https://broker.example/outcomes/?status=new"] {
            let base = base.parse().expect("a URL");
            let fetch = |id: &str| poll.fetch(&base, id).map(|url| url.to_string());
            assert_eq!(fetch(&ids[0]).as_deref(), Some("https://broker.example/outcomes/a%2F..%252f%3Fx%231"));
            assert_eq!((fetch(".."), fetch("."), fetch(""), fetch(&"x".repeat(256))), (None, None, None, None));
            let (method, url) = poll.acknowledge(&base, Some(&ids[1])).expect("acknowledged");
            assert_eq!((method, url.as_str()), (AcknowledgeMethod::Delete, "https://broker.example/outcomes/26GB-1"));
        }
        assert_eq!(poll.ids(b" ").expect("nothing"), [""; 0]);
        assert_eq!(poll.ids(b"<outcomes xmlns='urn:o'/>").expect("an empty list"), [""; 0]);
        for unread in ["<outcomes xmlns='urn:o'><outcome/></outcomes>", "<html>", "<!DOCTYPE a []><a/>"] {
            assert!(poll.ids(unread.as_bytes()).is_err(), "{unread}");
        }
        let many: String = (0..MAX_ENTRIES + 5).map(|n| format!("<outcome><id>{n}</id></outcome>")).collect();
        assert_eq!(poll.ids(format!("<outcomes xmlns='urn:o'>{many}</outcomes>").as_bytes()).expect("read").len(), MAX_ENTRIES);
    }

    #[test]
    fn without_each_the_answer_is_the_notice() {
        let poll = parse("[poll]\n[poll.acknowledge]\nmethod = 'POST'\nurl = '{url}/done'").expect("good");
        let base = "https://broker.example/next?n=1".parse().expect("a URL");
        assert!(!poll.lists() && poll.fetch(&base, "x").is_none());
        assert_eq!(poll.acknowledge(&base, None).map(|(_, url)| url.to_string()).as_deref(), Some("https://broker.example/next/done"));
        assert!(!parse("[poll]").expect("good").acknowledges());
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let faults = parse(
            "[poll]\neach = '/x:a'\nfetch = '{url}{id}'\nevery = 1\n[poll.acknowledge]\nmethod = 'DELET'\nurl = 'https://evil.example/{id}'",
        );
        let faults = faults.expect_err("faulty").join("\n");
        for (place, told) in [
            ("m/notices.toml:2:10", "no prefix x"),
            ("m/notices.toml:1:1", "id is missing"),
            ("m/notices.toml:3:10", "an address is {url}"),
            ("m/notices.toml:4:1", "unknown key every"),
            ("m/notices.toml:6:11", "one of: DELETE"),
            ("m/notices.toml:7:8", "an address is {url}"),
        ] {
            assert!(faults.lines().any(|line| line.starts_with(place) && line.contains(told)), "{place} {told} in\n{faults}");
        }
        let without = parse("[poll]\n[poll.acknowledge]\nurl = '{url}/{id}'").expect_err("no id").join("\n");
        assert!(without.contains("without `each`"), "{without}");
    }
}
