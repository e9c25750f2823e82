//! From a place in our message back to the declaration's field that stands there.
//!
//! A broker's error points into the message that we sent. Which field of the declaration was
//! written there is known from the template alone: this table is made once, when a mapping is
//! loaded. Element k of a repeated element is entry k-1 of the list that it repeats over, but only
//! where each entry writes it, once; elsewhere the place ends at the list. Of an element that
//! several expressions fill the first tells the field; an element that only holds others is the
//! entry that it repeats over, else the first field below it.

use super::code::Code;
use super::field_origin::{Origins, Part, Pattern};
use super::program::{Each, Op, Piece, Place as WrittenAt, Program};

/// One step to a place in our message: a local name (`@name` for an attribute) and its position from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub name: String,
    pub index: Option<usize>,
}

/// The table of a mapping's templates.
#[derive(Debug, Default)]
pub(super) struct FieldMap {
    messages: Vec<Element>,
}

/// All elements of one name at one place of a template.
#[derive(Debug, Default)]
struct Element {
    name: String,
    /// The repeats that write it, one for each place where the template does; `None` for one
    /// that is not repeated.
    written: Vec<Option<Repeat>>,
    field: Option<Pattern>,
    children: Vec<Element>,
}

/// A repeat that writes an element.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Repeat {
    /// The slot of its entry.
    slot: u16,
    /// Its list, and whether its entries are those of the declaration's list, one to one.
    list: Option<Pattern>,
    direct: bool,
    /// Whether each entry writes the element.
    always: bool,
}

impl FieldMap {
    /// Makes the table of some templates; what stands in several is told by the first.
    pub(super) fn new<'p>(programs: impl IntoIterator<Item = &'p Program>) -> Self {
        let messages = programs.into_iter().map(|program| {
            let mut maker = Maker::default();
            maker.ops(&program.ops);
            maker.root
        });
        Self { messages: messages.collect() }
    }

    /// The declaration's field at a place, as a JSON pointer. The first step may stand at any
    /// depth: whoever points need not name the envelope.
    pub(super) fn pointer(&self, places: &[Place]) -> Option<String> {
        let (first, rest) = places.split_first()?;
        self.messages.iter().find_map(|message| {
            let mut level = vec![message];
            while !level.is_empty() {
                if let Some(start) = level.iter().flat_map(|element| &element.children).find(|child| child.name == first.name) {
                    return follow(start, first, rest);
                }
                level = level.iter().flat_map(|element| &element.children).collect();
            }
            None
        })
    }
}

/// Entries that are known on the way: a repeat's slot, and the index of its entry.
type Bound = Vec<(u16, usize)>;

fn follow(start: &Element, place: &Place, rest: &[Place]) -> Option<String> {
    let (mut element, mut place, mut rest) = (start, place, rest);
    let (mut bound, mut entry) = (Bound::new(), None);
    loop {
        if let Some(list) = element.repeated_over() {
            if let (Some(index), true) = (place.index, element.is_exact()) {
                let slots = element.written.iter().flatten().map(|repeat| repeat.slot);
                bound.extend(slots.map(|slot| (slot, index.saturating_sub(1))));
            }
            let slot = element.written.iter().flatten().next().map(|repeat| repeat.slot);
            let mut own = list.clone();
            own.extend(slot.map(Part::Entry));
            entry = Some(own);
        }
        let Some((next, after)) = rest.split_first() else { break };
        element = element.children.iter().find(|child| child.name == next.name)?;
        (place, rest) = (next, after);
    }
    let below = if element.written.iter().any(Option::is_some) { None } else { element.first_below() };
    let pattern = element.field.as_ref().or(below).or(entry.as_ref())?;
    written(pattern, &bound)
}

/// A pattern as a pointer, which ends before the first entry that is not known.
fn written(pattern: &Pattern, bound: &Bound) -> Option<String> {
    let mut pointer = String::new();
    for part in pattern {
        match part {
            Part::Names(names) => pointer.push_str(names),
            Part::Entry(slot) => match bound.iter().rev().find(|(known, _)| known == slot) {
                Some((_, index)) => pointer.push_str(&format!("/{index}")),
                None => break,
            },
            Part::Unknown => break,
        }
    }
    (!pointer.is_empty()).then_some(pointer)
}

impl Element {
    /// The list that it repeats over.
    fn repeated_over(&self) -> Option<&Pattern> {
        self.written.iter().flatten().find_map(|repeat| repeat.list.as_ref())
    }

    /// Whether its position says which entry it is: every entry of one list writes it once. Of
    /// several repeats over the same list only one is taken to write.
    fn is_exact(&self) -> bool {
        let first = self.written.first().and_then(Option::as_ref);
        let alike = |(at, repeat): (usize, &Option<Repeat>)| {
            let repeat = repeat.as_ref().filter(|repeat| repeat.direct && repeat.always);
            let once = repeat.is_some_and(|repeat| self.written[..at].iter().flatten().all(|before| before.slot != repeat.slot));
            once && repeat.map(|repeat| &repeat.list) == first.map(|repeat| &repeat.list)
        };
        self.written.iter().enumerate().all(alike)
    }

    fn first_below(&self) -> Option<&Pattern> {
        self.children.iter().find_map(|child| child.field.as_ref().or_else(|| child.first_below()))
    }

    fn child(&mut self, name: &str) -> usize {
        if let Some(at) = self.children.iter().position(|child| child.name == name) {
            return at;
        }
        self.children.push(Self { name: name.to_owned(), ..Self::default() });
        self.children.len() - 1
    }
}

/// Walks a program and keeps track of the elements that are open.
#[derive(Default)]
struct Maker<'p> {
    origins: Origins<'p>,
    tags: Tags,
    root: Element,
    /// The elements that are open: each one's place among its parent's children, and the repeat
    /// that was in force outside.
    open: Vec<(usize, Option<Repeat>)>,
    /// The repeat whose entries write what comes next.
    repeat: Option<Repeat>,
}

impl<'p> Maker<'p> {
    fn ops(&mut self, ops: &'p [Op]) {
        for op in ops {
            match op {
                Op::Bytes(bytes) => self.bytes(bytes),
                Op::Value(code, place) | Op::Lenient(code, place) => self.field(code, place),
                Op::OptionalAttribute(_, pieces, _) | Op::Together(pieces) => {
                    for piece in pieces {
                        if let Piece::Value(code, place) = piece {
                            self.field(code, place);
                        }
                    }
                }
                Op::If(_, body, _) => self.sometimes(|maker| maker.ops(body)),
                Op::Let(slot, code) => self.origins.define(*slot, code),
                Op::Each(each) => self.each(each),
                Op::Optional(optional) => self.sometimes(|maker| {
                    maker.ops(&optional.open);
                    maker.ops(&optional.body);
                    maker.bytes(&optional.close);
                }),
                Op::Otherwise(body, ..) | Op::Encode(body, _) => self.ops(body),
                Op::Check(_) | Op::Enter(_) | Op::Leave => {}
            }
        }
    }

    /// What not every entry of a repeat writes.
    fn sometimes(&mut self, write: impl FnOnce(&mut Self)) {
        let before = self.repeat.clone();
        if let Some(repeat) = &mut self.repeat {
            repeat.always = false;
        }
        write(self);
        self.repeat = before;
    }

    fn each(&mut self, each: &'p Each) {
        let (list, direct) = (self.origins.of(&each.list), self.origins.is_direct(&each.list));
        self.origins.entry(each.entry, list.clone(), direct);
        // A repeat in a repeat writes the element for each pair of entries: its position tells neither.
        let repeat = Repeat { slot: each.entry, list, direct: direct && self.repeat.is_none(), always: true };
        let outside = self.repeat.replace(repeat);
        self.ops(&each.body);
        self.repeat = outside;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let (opened, closed) = self.tags.take(*byte);
            if let Some(name) = opened {
                let local = name.rsplit(':').next().unwrap_or(&name).to_owned();
                let repeat = self.repeat.take();
                let parent = self.current();
                let at = parent.child(&local);
                if let Some(child) = parent.children.get_mut(at) {
                    child.written.push(repeat.clone());
                }
                self.open.push((at, repeat));
            }
            if closed && let Some((_, repeat)) = self.open.pop() {
                self.repeat = repeat;
            }
        }
    }

    /// The element that is open.
    fn current(&mut self) -> &mut Element {
        // Places come from `child`, and nothing is ever taken out: they are there.
        self.open.iter().fold(&mut self.root, |element, (at, _)| &mut element.children[*at])
    }

    /// A value that is written in the element that is open; the first that comes from a field counts.
    fn field(&mut self, code: &'p Code, place: &'p WrittenAt) {
        let Some(found) = self.origins.of(code) else { return };
        let element = self.current();
        let element = match place.path.rsplit_once('@').filter(|_| place.attribute) {
            Some((_, name)) => {
                let at = element.child(&format!("@{name}"));
                element.children.get_mut(at)
            }
            None => Some(element),
        };
        if let Some(element) = element {
            element.field.get_or_insert(found);
        }
    }
}

/// Finds tags in the fixed bytes of a program, which come in pieces.
#[derive(Default)]
struct Tags {
    state: State,
    name: Vec<u8>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind `<`.
    Name,
    /// Among the attributes.
    Inside,
    Quote(u8),
    /// Behind the slash of `<a/>`.
    Slash,
    /// In an end tag.
    End,
    /// In an XML declaration.
    Other,
}

impl Tags {
    /// Takes the next byte; the name of an element that it opens, and whether it closes one.
    fn take(&mut self, byte: u8) -> (Option<String>, bool) {
        let before = self.state;
        self.state = match (before, byte) {
            (State::Text, b'<') => {
                self.name.clear();
                State::Name
            }
            (State::Name, b'/') if self.name.is_empty() => State::End,
            (State::Name, b'?' | b'!') if self.name.is_empty() => State::Other,
            (State::Name | State::Inside, b'/') => State::Slash,
            (State::Name, b' ' | b'\n' | b'\t') => State::Inside,
            (State::Name | State::Inside | State::Slash | State::End | State::Other, b'>') => State::Text,
            (State::Name, _) => {
                self.name.push(byte);
                State::Name
            }
            (State::Inside, b'"' | b'\'') => State::Quote(byte),
            (State::Quote(quote), _) if byte == quote => State::Inside,
            (state, _) => state,
        };
        let opens = before == State::Name && !matches!(self.state, State::Name | State::End | State::Other);
        let closes = matches!(before, State::Slash | State::End) && self.state == State::Text;
        (opens.then(|| String::from_utf8_lossy(&self.name).into_owned()), closes)
    }
}
