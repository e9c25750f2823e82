//! Where a reason of a notice points at: the broker's own notation, or the declaration's field
//! when the rules say how a place in our message is written ([`super::fieldmap`]).

use super::fieldmap::Place;
use super::find::Found;
use super::reading::{HERE, MAX_REFERENCE, MAX_TEXT, Read, Reader, bounded};
use super::rules::PointerRule;
use super::xpath::Path;

impl Reader<'_, '_> {
    pub(super) fn pointer(&mut self, rule: &PointerRule, node: Found) -> Read<Option<String>> {
        match rule {
            PointerRule::Path { path, ours } => self.located(path, *ours, node),
            PointerRule::Chain { .. } => self.chain(rule, node),
        }
    }

    fn located(&mut self, path: &Path, ours: bool, node: Found) -> Read<Option<String>> {
        let mut parts = Vec::new();
        if let Path::Union(_) = path {
            for node in self.nodes(Some(path), node)? {
                parts.extend(self.text(Some(&HERE), node, if ours { MAX_TEXT } else { MAX_REFERENCE })?);
            }
        } else {
            parts.extend(self.text(Some(path), node, MAX_TEXT)?);
        }
        if ours && let Some(pointer) = parts.iter().find_map(|part| self.fields.pointer(&places(part)?)) {
            return Ok(Some(pointer));
        }
        Ok(joined(&parts))
    }

    fn chain(&mut self, rule: &PointerRule, node: Found) -> Read<Option<String>> {
        let PointerRule::Chain { each, section, index, tag, names } = rule else { return Ok(None) };
        let mut parts = Vec::new();
        // The same chain by the names of our message, for as long as each is known.
        let mut known = names.as_ref().map(|_| Vec::new());
        let mut add = |code: &str, index: Option<usize>| {
            let name = names.as_ref().and_then(|names| names.get(code));
            match (name, &mut known) {
                (Some(name), Some(known)) => known.push(Place { name: name.to_owned(), index }),
                _ => known = None,
            }
        };
        for node in self.nodes(Some(each), node)? {
            if let Some(section) = self.text(Some(section), node, MAX_REFERENCE)? {
                let index = self.text(index.as_ref(), node, MAX_REFERENCE)?;
                add(&section, index.as_ref().and_then(|index| index.parse().ok()));
                parts.push(match index {
                    Some(index) => format!("{section}[{index}]"),
                    None => section,
                });
            }
            if let Some(tag) = self.text(tag.as_ref(), node, MAX_REFERENCE)? {
                add(&tag, None);
                parts.push(tag);
            }
        }
        let pointer = known.and_then(|known| self.fields.pointer(&known));
        Ok(pointer.or_else(|| joined(&parts)))
    }
}

fn joined(parts: &[String]) -> Option<String> {
    (!parts.is_empty()).then(|| bounded(&parts.join("/"), MAX_TEXT))
}

/// Most steps of a place.
const MAX_STEPS: usize = 64;

/// The steps of a path like `/ie:CC315A[1]/GOOITEGDS[2]/@code`; `None` when it is written in
/// another way. Prefixes are those of the one who wrote it and say nothing here.
fn places(text: &str) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    for step in steps(text) {
        let (name, brackets) = step.split_at(step.find('[').unwrap_or(step.len()));
        let name = name.rsplit(':').next().unwrap_or(name).trim();
        let mut place = Place { name: name.to_owned(), index: None };
        for bracket in brackets.split('[').skip(1) {
            let inside = bracket.trim_end().strip_suffix(']')?.trim();
            let number = inside.strip_prefix("position()").map_or(inside, |rest| rest.trim_start().trim_start_matches('=').trim_start());
            let quoted = inside.strip_prefix("local-name()").map(|rest| rest.trim_start().trim_start_matches('=').trim());
            match quoted {
                Some(quoted) => place.name = quoted.trim_matches(['\'', '"']).to_owned(),
                None => place.index = Some(number.parse().ok().filter(|number| *number > 0)?),
            }
        }
        let attribute = name.starts_with('@');
        let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if place.name == "text()" {
            continue;
        }
        let plain = if attribute { &place.name[1..] } else { place.name.as_str() };
        if plain.is_empty() || !plain.chars().all(sound) || places.len() == MAX_STEPS {
            return None;
        }
        places.push(place);
    }
    (!places.is_empty()).then_some(places)
}

/// The parts between slashes that stand outside brackets.
fn steps(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    let split = move |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '/' && depth == 0
    };
    text.trim().split(split).map(str::trim).filter(|step| !step.is_empty())
}
