//! The names that an expression can use, and what they are.
//!
//! Names are resolved when a mapping is loaded; at run time there are only indexes. A name that is
//! not there is a fault with the nearest one as a suggestion.

use std::sync::Arc;

use super::code::{Code, Root};
use super::codes::CodeList;
use super::faults::Remark;
use super::settings::SettingSpec;
use super::value::Ty;
use crate::domain::change::Change;
use crate::domain::declaration::Declaration;
use crate::domain::delivery::MessageKind;
use crate::domain::record::{Descriptor, Field};

/// Words that no `p:let` or `p:each` may take.
const RESERVED: &[&str] = &["and", "or", "not", "in", "if", "else", "is", "true", "false", "none", "True", "False", "None"];
/// Names beside the declaration's fields.
const SPACES: &[&str] = &["stated", "settings", "message", "post", "reason", "previous", "changes", "mrn", "broker"];

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A message of this kind.
    Message(MessageKind),
    /// The condition of a route.
    Route,
}

/// A name given by the template.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub name: String,
    pub slot: u16,
    pub ty: Ty,
}

/// Names in force at one place.
#[derive(Debug)]
pub(super) struct Scope<'m> {
    pub purpose: Use,
    /// None when `mapping.toml` cannot be read: then nothing is said of settings.
    pub settings: Option<&'m [SettingSpec]>,
    pub codes: &'m [Arc<CodeList>],
    pub variables: Vec<Variable>,
    /// Whether places may still be undecided (`todo`).
    pub draft: bool,
    /// Set when something is converted to another currency: the mapping needs the operator's rates.
    pub converts: std::cell::Cell<bool>,
    /// Each `todo` of an expression: where it stands, and the value of the sample.
    pub undecided: std::cell::RefCell<Vec<(usize, String)>>,
}

/// One step of a path: its name and where it stands in the expression.
pub(super) type Step<'t> = (&'t str, usize);

impl Scope<'_> {
    /// Why a name cannot be given by a template; `None` when it can.
    pub(super) fn refuses(&self, name: &str) -> Option<Remark> {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > 40 {
            return Some("a name has small letters, digits and _, and begins with a letter".into());
        }
        let taken = RESERVED.contains(&name)
            || SPACES.contains(&name)
            || name == "position"
            || name == "last"
            || Declaration::DESCRIPTOR.field(name).is_some()
            || self.variables.iter().any(|variable| variable.name == name);
        taken.then(|| format!("the name {name} is already taken").into())
    }

    /// Resolves a path: its first name, then fields.
    pub(super) fn resolve(&self, steps: &[Step<'_>]) -> Result<(Code, Ty), (usize, Remark)> {
        let Some((&(first, at), rest)) = steps.split_first() else {
            return Err((0, "a name is expected".into()));
        };
        if let Some(variable) = self.variables.iter().rev().find(|variable| variable.name == first) {
            return fields(Code::Root(Root::Slot(variable.slot)), variable.ty.clone(), rest);
        }
        let descriptor = Declaration::DESCRIPTOR;
        match first {
            "seller" => return fields(effective("seller", "sender"), party(), rest),
            "buyer" | "importer" => return fields(effective(first, "recipient"), party(), rest),
            "stated" => {
                return match rest.first() {
                    Some((name @ ("seller" | "buyer" | "importer"), _)) => {
                        let (code, ty) = declared(name).ok_or((at, Remark::new("no such field")))?;
                        fields(code, ty, &rest[1..])
                    }
                    _ => Err((at, "stated.seller, stated.buyer and stated.importer are as declared".into())),
                };
            }
            // In a template the broker that it is made for; in a route the one that is asked for.
            "broker" if matches!(self.purpose, Use::Message(_)) => return fields(Code::Root(Root::Broker), Ty::Text, rest),
            _ => {}
        }
        if let Some((code, ty)) = declared(first) {
            return fields(code, ty, rest);
        }
        if let Some(found) = self.space(first, at, rest) {
            return found;
        }
        let known = descriptor.fields.iter().map(|field| field.name).chain(SPACES.iter().copied());
        let known: Vec<&str> = known.chain(self.variables.iter().map(|variable| variable.name.as_str())).collect();
        Err((at, Remark::unknown(format!("unknown name {first}"), first, known)))
    }

    /// Names that are no fields of the declaration; `None` when this is none of them.
    fn space(&self, first: &str, at: usize, rest: &[Step<'_>]) -> Option<Result<(Code, Ty), (usize, Remark)>> {
        let additional = matches!(self.purpose, Use::Message(kind) if kind != MessageKind::Declaration);
        let message = matches!(self.purpose, Use::Message(_));
        let member = |known: &[(&'static str, Root, Ty)]| {
            let Some(&(name, name_at)) = rest.first() else {
                let names: Vec<_> = known.iter().map(|(name, ..)| format!("{first}.{name}")).collect();
                return Err((at, format!("{first} has several values: {}", names.join(", ")).into()));
            };
            let found = known.iter().find(|(known, ..)| *known == name);
            let Some((_, root, ty)) = found else {
                let remark = Remark::unknown(format!("{first} has no {name}"), name, known.iter().map(|(name, ..)| *name));
                return Err((name_at, remark));
            };
            fields(Code::Root(*root), ty.clone(), &rest[1..])
        };
        let only = |words: &str| Err((at, Remark::new(format!("{first} is only known in {words}"))));
        Some(match first {
            "post" => member(&[("code", Root::PostCode, Ty::Text), ("name", Root::PostName, Ty::Text)]),
            "settings" | "message" if !message => only("a mapping's templates"),
            "mrn" | "reason" | "previous" | "changes" if !additional => only("templates of messages that follow a declaration"),
            "settings" => self.setting(at, rest),
            "message" => member(&[
                ("lrn", Root::Lrn, Ty::Text),
                ("id", Root::MessageId, Ty::Text),
                ("conversation_id", Root::ConversationId, Ty::Text),
                ("created_at", Root::CreatedAt, Ty::Time),
            ]),
            "reason" => member(&[("code", Root::ReasonCode, Ty::Text), ("text", Root::ReasonText, Ty::Text)]),
            "mrn" => fields(Code::Root(Root::Mrn), Ty::Text, rest),
            "changes" => fields(Code::Root(Root::Changes), Ty::List(Box::new(Ty::Record(Change::DESCRIPTOR))), rest),
            "previous" => fields(Code::Root(Root::Previous), Ty::Record(Declaration::DESCRIPTOR), rest),
            _ => return None,
        })
    }

    fn setting(&self, at: usize, rest: &[Step<'_>]) -> Result<(Code, Ty), (usize, Remark)> {
        let Some(&(name, name_at)) = rest.first() else {
            return Err((at, "settings.NAME is one setting".into()));
        };
        let Some(settings) = self.settings else { return Ok((Code::None, Ty::Any)) };
        let found = settings.iter().position(|setting| setting.name == name);
        let Some(index) = found.and_then(|index| u16::try_from(index).ok()) else {
            let known = settings.iter().map(|setting| setting.name.as_str());
            return Err((name_at, Remark::unknown(format!("mapping.toml has no setting {name}"), name, known)));
        };
        fields(Code::Root(Root::Setting(index)), settings[usize::from(index)].kind.ty(), &rest[1..])
    }
}

fn party() -> Ty {
    declared("sender").map_or(Ty::Any, |(_, ty)| ty)
}

fn index(name: &str) -> u16 {
    Declaration::DESCRIPTOR.field(name).and_then(|(index, _)| u16::try_from(index).ok()).unwrap_or(u16::MAX)
}

fn effective(stated: &str, otherwise: &str) -> Code {
    Code::Root(Root::Effective { stated: index(stated), otherwise: index(otherwise) })
}

fn declared(name: &str) -> Option<(Code, Ty)> {
    let (index, field) = lookup(Declaration::DESCRIPTOR, name)?;
    let code = Code::Get(Box::new(Code::Root(Root::Declaration)), Box::new([index]), format!("/{name}").into());
    Some((code, Ty::of((field.kind)())))
}

fn lookup(descriptor: &'static Descriptor, name: &str) -> Option<(u16, &'static Field)> {
    let (index, field) = descriptor.field(name)?;
    Some((u16::try_from(index).ok()?, field))
}

/// Follows fields from a value of a known kind.
pub(super) fn fields(base: Code, ty: Ty, steps: &[Step<'_>]) -> Result<(Code, Ty), (usize, Remark)> {
    if steps.is_empty() {
        return Ok((base, ty));
    }
    let (base, mut indexes, mut pointer) = match base {
        Code::Get(base, indexes, pointer) => (base, indexes.into_vec(), String::from(pointer)),
        other => (Box::new(other), Vec::new(), String::new()),
    };
    let mut ty = ty;
    for &(name, at) in steps {
        let (index, next) = field(&ty, name).map_err(|remark| (at, remark))?;
        indexes.push(index);
        pointer.push('/');
        pointer.push_str(name);
        ty = next;
    }
    Ok((Code::Get(base, indexes.into(), pointer.into()), ty))
}

/// One field of a value of a known kind.
pub(super) fn field(ty: &Ty, name: &str) -> Result<(u16, Ty), Remark> {
    match ty {
        Ty::Record(descriptor) => match lookup(descriptor, name) {
            Some((index, field)) => Ok((index, Ty::of((field.kind)()))),
            None => {
                let known = descriptor.fields.iter().map(|field| field.name);
                Err(Remark::unknown(format!("{} has no field {name}", descriptor.name), name, known))
            }
        },
        Ty::List(_) => Err(format!("a list has no field {name}: repeat over it with p:each, or use first(…) or pick(…)").into()),
        Ty::Any => Err(format!("it is not known here what this is, so {name} cannot be looked up").into()),
        other => Err(format!("{} has no field {name}", other.noun()).into()),
    }
}
