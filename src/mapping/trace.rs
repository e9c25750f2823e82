//! How a message was made: each element with the place of the template that made it, each value with
//! what it came from, and what was left out. Only explanations, coverage and faults of a schema look
//! at it; messages are made without.

use std::collections::HashSet;

use super::code::{Code, Root};
use super::eval::{Definition, Run, Watch};
use super::program::{Mark, Place, SiteId};

/// Something that an expression looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    /// A field of the declaration, as a JSON pointer.
    Field(String),
    /// A setting, by its place in the mapping's table.
    Setting(u16),
    /// Anything else by its name: `message.lrn`.
    Name(&'static str),
}

/// One step of making a message.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// An element begins, at a byte of the message.
    Enter { at: usize, mark: &'a Mark },
    /// The element that began last ends.
    Leave { at: usize },
    /// A value was written, or was missing.
    Value { place: &'a Place, inputs: Vec<Input>, pointer: Option<String> },
    /// Nothing was written because of a decision.
    LeftOut { site: SiteId, inputs: Vec<Input> },
    /// What was written since `from`, by the events since `first`, is a document that now stands there as text.
    Encoded { first: usize, from: usize, document: Vec<u8> },
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Trace<'a> {
    pub events: Vec<Event<'a>>,
    /// Decisions and how they went.
    pub seen: HashSet<(SiteId, bool)>,
    pub watch: Watch,
    /// What was written, also when there were faults.
    pub bytes: Vec<u8>,
}

impl Trace<'_> {
    /// Takes back what an element did that was then left out; gives what its values came from.
    pub(super) fn forget(&mut self, from: usize) -> Vec<Input> {
        let mut all = Vec::new();
        for event in self.events.drain(from..) {
            if let Event::Value { inputs, .. } | Event::LeftOut { inputs, .. } = event {
                all.extend(inputs);
            }
        }
        all.sort();
        all.dedup();
        all
    }

    /// The innermost element that a byte of the message lies in, and the field that its first own value came from.
    pub(super) fn element_at(&self, offset: usize) -> Option<(&Mark, Option<&str>)> {
        let mut open: Vec<(&Mark, Option<&str>)> = Vec::new();
        let encoded =
            |index: &usize| self.events.iter().skip(*index).any(|event| matches!(event, Event::Encoded { first, .. } if first <= index));
        for (index, event) in self.events.iter().enumerate() {
            match event {
                // Inside a document that is written as text: its offsets are its own.
                _ if encoded(&index) => {}
                Event::Enter { at, mark } if *at <= offset => open.push((mark, None)),
                Event::Leave { at } if *at <= offset => {
                    open.pop();
                }
                Event::Value { pointer, .. } => {
                    if let Some((_, found)) = open.last_mut() {
                        *found = found.or(pointer.as_deref());
                    }
                }
                // The first byte beyond: what is open now holds the offset. Its own value may still come.
                Event::Enter { .. } | Event::Leave { .. } => break,
                Event::LeftOut { .. } | Event::Encoded { .. } => {}
            }
        }
        open.pop()
    }
}

impl<'a> Run<'a> {
    /// What an expression looks at.
    pub(super) fn inputs(&mut self, code: &'a Code) -> Vec<Input> {
        let mut found = Vec::new();
        self.collect(code, &mut found, &mut HashSet::new());
        found
    }

    fn collect(&mut self, code: &'a Code, found: &mut Vec<Input>, slots: &mut HashSet<u16>) {
        let input = match code {
            Code::Root(Root::Setting(index)) => Some(Input::Setting(*index)),
            Code::Root(root) => match name(*root) {
                Some(name) => Some(Input::Name(name)),
                None => return self.collect_slot(*root, code, found, slots),
            },
            Code::Get(base, ..) => match self.origin(code) {
                Some(pointer) => Some(Input::Field(pointer)),
                None => return self.collect(base, found, slots),
            },
            _ => None,
        };
        match input {
            Some(input) if found.contains(&input) => {}
            Some(input) => found.push(input),
            None => code.parts().into_iter().for_each(|part| self.collect(part, found, slots)),
        }
    }

    /// A name given by `p:let` stands for what its expression looks at; each is looked into once.
    fn collect_slot(&mut self, root: Root, code: &'a Code, found: &mut Vec<Input>, slots: &mut HashSet<u16>) {
        if let Root::Slot(slot) = root {
            let definition = self.slots.get(usize::from(slot)).map_or(Definition::Nothing, |(_, definition)| *definition);
            if let Definition::Let(code) = definition {
                if slots.insert(slot) {
                    self.collect(code, found, slots);
                }
                return;
            }
        }
        if let Some(pointer) = self.origin(code) {
            let input = Input::Field(pointer);
            if !found.contains(&input) {
                found.push(input);
            }
        }
    }
}

/// The name of a root that is neither of the declaration nor a setting.
fn name(root: Root) -> Option<&'static str> {
    Some(match root {
        Root::Lrn => "message.lrn",
        Root::MessageId => "message.id",
        Root::ConversationId => "message.conversation_id",
        Root::CreatedAt => "message.created_at",
        Root::PostCode => "post.code",
        Root::PostName => "post.name",
        Root::Mrn => "mrn",
        Root::ReasonCode => "reason.code",
        Root::ReasonText => "reason.text",
        Root::Previous => "previous",
        Root::Changes => "changes",
        Root::Broker => "broker",
        Root::Declaration | Root::Effective { .. } | Root::Slot(_) | Root::Setting(_) => return None,
    })
}
