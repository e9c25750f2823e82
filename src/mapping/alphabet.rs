//! The characters that a broker's format takes: a name (`ascii`, `latin1`, `latin9`) or a list with
//! ranges (`A-Z0-9 .,-`).

use super::faults::{Remark, nearest};
use crate::domain::text::is_xml_character;

const NAMES: [&str; 3] = ["ascii", "latin1", "latin9"];
/// ISO 8859-15 has these in the place of eight signs of ISO 8859-1.
const ONLY_LATIN9: &str = "€ŠšŽžŒœŸ";
const ONLY_LATIN1: &str = "¤¦¨´¸¼½¾";

/// Allowed characters, and what stands for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alphabet {
    allowed: Allowed,
    replacement: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Ascii,
    Latin1,
    Latin9,
    Ranges(Vec<(char, char)>),
}

impl Alphabet {
    /// Reads an alphabet as it is written out.
    pub(super) fn read(text: &str) -> Result<Self, Remark> {
        let allowed = match text {
            "ascii" => Allowed::Ascii,
            "latin1" => Allowed::Latin1,
            "latin9" => Allowed::Latin9,
            "" => return Err("an alphabet has at least one character".into()),
            // One that reads like a name is a name misspelt: it would silently allow its few letters.
            text if !text.contains('-') && nearest(text, NAMES).is_some() => {
                return Err(Remark::unknown("an alphabet is 'ascii', 'latin1', 'latin9' or written out: 'A-Z0-9 .,-'", text, NAMES));
            }
            text => Allowed::Ranges(ranges(text)?),
        };
        Ok(Self { allowed, replacement: String::new() })
    }

    /// Sets what stands for characters that are not allowed; whether it is allowed itself.
    pub(super) fn set_replacement(&mut self, text: &str) -> bool {
        let fits = text.chars().count() <= 10 && text.chars().all(|c| self.allows(c));
        if fits {
            text.clone_into(&mut self.replacement);
        }
        fits
    }

    fn allows(&self, c: char) -> bool {
        let latin1 = |c: char| matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}');
        match &self.allowed {
            Allowed::Ascii => matches!(c, ' '..='~'),
            Allowed::Latin1 => latin1(c),
            Allowed::Latin9 => (latin1(c) && !ONLY_LATIN1.contains(c)) || ONLY_LATIN9.contains(c),
            Allowed::Ranges(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)),
        }
    }

    /// The text with allowed characters only; `None` when it has no others.
    pub(super) fn kept(&self, text: &str) -> Option<String> {
        if text.chars().all(|c| self.allows(c)) {
            return None;
        }
        let mut kept = String::with_capacity(text.len());
        for c in text.chars() {
            if self.allows(c) {
                kept.push(c);
            } else {
                kept.push_str(&self.replacement);
            }
        }
        Some(kept)
    }
}

/// `A-Z` is a range; `-` itself stands first or last.
fn ranges(text: &str) -> Result<Vec<(char, char)>, Remark> {
    let characters: Vec<char> = text.chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&from) = characters.get(at) {
        let to = match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(&to)) => {
                at += 2;
                to
            }
            _ => from,
        };
        if from > to {
            return Err(format!("the range {from}-{to} runs backwards; - itself stands first or last").into());
        }
        if !is_xml_character(from) || !is_xml_character(to) {
            return Err("an alphabet has no control characters".into());
        }
        ranges.push((from, to));
        at += 1;
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_keep_what_they_say() {
        for (alphabet, text, expected) in [
            ("ascii", "a\u{7f}ü~", Some("a~")),
            ("latin1", "Zürich €5 ½", Some("Zürich 5 ½")),
            ("latin9", "Zürich €5 ½", Some("Zürich €5 ")),
            ("A-Z0-9 .,-", "A-Z, 5.", None),
            ("-A-C", "ABCD-", Some("ABC-")),
            ("가-힣", "가나a", Some("가나")),
        ] {
            assert_eq!(Alphabet::read(alphabet).expect(alphabet).kept(text).as_deref(), expected, "{alphabet}");
        }
        assert_eq!(Alphabet::read("latn1").expect_err("a slip").suggestion.as_deref(), Some("latin1"));
        assert!(Alphabet::read("Z-A").is_err() && Alphabet::read("").is_err());
        assert!(!Alphabet::read("A-Z").expect("letters").set_replacement("?"));
    }
}
