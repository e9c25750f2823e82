//! What an amendment changes: two versions of one declaration, field by field.
//!
//! Authorities want a pointer for each change (HMRC CDS: one chain of sections per amended element).
//! A change names the field without indexes, for tables, and the line it stands in, for the pointer.
//! Lines are compared by their place: a declaration has no other identity for them.

use super::declaration::Declaration;
use super::record::{Descriptor, Record, Val};
use super::text::Text;
use crate::{choice, record};

/// Most changes that are told; more than that is a new declaration rather than an amendment.
const MAX_CHANGES: usize = 1000;

choice! {
    /// What happened to a field.
    pub enum ChangeKind {
        /// It has another value.
        Changed = "changed",
        /// It was not there before.
        Added = "added",
        /// It is no longer there.
        Removed = "removed",
    }
}
record! {
    /// One change between two versions of a declaration.
    pub struct Change {
        /// What happened.
        kind: ChangeKind,
        /// The field without indexes: `contents.description`.
        field: Text<255>,
        /// The line of the contents, from 1; none outside of them.
        line: Option<u64>,
        /// JSON pointer of the field: in the new version, of what was removed in the old one.
        pointer: Text<255>,
    }
}

/// Every change from one version to another, in the order of the declaration's fields.
pub fn between(before: &Declaration, after: &Declaration) -> Vec<Change> {
    let mut comparison = Comparison { changes: Vec::new(), field: String::new(), pointer: String::new(), line: None };
    comparison.records(Declaration::DESCRIPTOR, before, after);
    comparison.changes
}

struct Comparison {
    changes: Vec<Change>,
    field: String,
    pointer: String,
    line: Option<u64>,
}

impl Comparison {
    fn records(&mut self, descriptor: &'static Descriptor, before: &dyn Record, after: &dyn Record) {
        for (index, field) in descriptor.fields.iter().enumerate() {
            let lengths = (self.field.len(), self.pointer.len());
            if !self.field.is_empty() {
                self.field.push('.');
            }
            self.field.push_str(field.name);
            self.pointer.push('/');
            self.pointer.push_str(field.name);
            self.values(before.get(index), after.get(index));
            self.field.truncate(lengths.0);
            self.pointer.truncate(lengths.1);
        }
    }

    fn values(&mut self, before: Val<'_>, after: Val<'_>) {
        match (before, after) {
            (Val::Missing, Val::Missing) => {}
            (Val::Missing, Val::List(list)) | (Val::List(list), Val::Missing) if list.is_empty() => {}
            (Val::Missing, _) => self.tell(ChangeKind::Added),
            (_, Val::Missing) => self.tell(ChangeKind::Removed),
            (Val::Record(before), Val::Record(after)) => self.records(before.descriptor(), before, after),
            (Val::List(before), Val::List(after)) => {
                for index in 0..before.len().max(after.len()) {
                    self.entry(index, before.get(index), after.get(index));
                }
            }
            (before, after) if same(before, after) => {}
            _ => self.tell(ChangeKind::Changed),
        }
    }

    fn entry(&mut self, index: usize, before: Val<'_>, after: Val<'_>) {
        let length = self.pointer.len();
        self.pointer.push_str(&format!("/{index}"));
        let line = self.line;
        if self.field == "contents" {
            self.line = u64::try_from(index + 1).ok();
        }
        self.values(before, after);
        self.line = line;
        self.pointer.truncate(length);
    }

    fn tell(&mut self, kind: ChangeKind) {
        if self.changes.len() < MAX_CHANGES {
            let (field, pointer) = (Text::plain(&self.field), Text::plain(&self.pointer));
            self.changes.push(Change { kind, field, line: self.line, pointer });
        }
    }
}

/// Whether two plain values are the same.
fn same(before: Val<'_>, after: Val<'_>) -> bool {
    match (before, after) {
        (Val::Bool(before), Val::Bool(after)) => before == after,
        (Val::Int(before), Val::Int(after)) => before == after,
        (Val::Decimal(before), Val::Decimal(after)) => before == after,
        (Val::Str(before), Val::Str(after)) => before == after,
        (Val::Date(before), Val::Date(after)) => before == after,
        (Val::Time(before), Val::Time(after)) => before == after,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json;

    fn declaration(text: &str) -> Declaration {
        let json = json::parse(text.as_bytes()).expect("JSON");
        Declaration::read_shape(&json).0
    }

    #[test]
    fn each_change_names_its_field_and_line() {
        let before = declaration(
            r#"{"gross_weight_g": 500, "importer": {"name": "A"}, "recipient": {"name": "Ada", "city": "York"},
                "contents": [{"description": "tea", "quantity": 1, "value": {"amount": "1.0", "currency": "GBP"}},
                             {"description": "cup", "quantity": 2}, {"description": "pot"}]}"#,
        );
        let after = declaration(
            r#"{"gross_weight_g": 501, "seller": {"name": "B"}, "recipient": {"name": "Ada", "city": "Hull"},
                "contents": [{"description": "tea", "quantity": 1, "value": {"amount": "1.00", "currency": "EUR"}},
                             {"description": "mug", "quantity": 2}]}"#,
        );
        let told: Vec<String> = between(&before, &after)
            .iter()
            .map(|change| {
                let line = change.line.map_or("-".to_owned(), |line| line.to_string());
                format!("{} {} {line} {}", change.kind.as_str(), change.field, change.pointer)
            })
            .collect();
        assert_eq!(
            told,
            [
                "changed recipient.city - /recipient/city",
                "added seller - /seller",
                "removed importer - /importer",
                "changed gross_weight_g - /gross_weight_g",
                "changed contents.value.currency 1 /contents/0/value/currency",
                "changed contents.description 2 /contents/1/description",
                "removed contents 3 /contents/2",
            ]
        );
        assert!(between(&before, &before).is_empty());
    }
}
