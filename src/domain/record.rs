//! One description of a record, from which everything else follows.
//!
//! [`record!`](crate::record) declares a struct together with its reading from JSON (all faults at
//! once, each with its pointer), its view by field index (how mappings reach a value without a
//! lookup), and its description (how mappings are checked at load, and how the documentation
//! tables and the OpenAPI schema are made). [`choice!`](crate::choice) does the same for closed
//! lists of words. The configuration is read by the same means.
//!
//! Reading is total: what is wrong becomes a fault and a default, so that one pass finds all
//! faults. Whoever reads must therefore look at the faults before using the value.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::fault::{self, Fault, Faults};
use super::json::Json;
use super::time::{Date, Timestamp};

/// What a field holds; lets a mapping be checked before any declaration exists.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// An exact decimal.
    Decimal,
    /// `true` or `false`.
    Bool,
    /// A calendar date, `YYYY-MM-DD`.
    Date,
    /// An instant, RFC 3339.
    Timestamp,
    /// One word of a closed list.
    Choice(&'static [&'static str]),
    /// A list of entries of one kind.
    List(fn() -> Kind),
    /// A record.
    Record(&'static Descriptor),
    /// An object with free keys and values of one kind (configuration only).
    Map(fn() -> Kind),
}

/// A record's fields.
#[derive(Debug)]
pub struct Descriptor {
    /// The record's name.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its fields in order; a view's index counts them.
    pub fields: &'static [Field],
}

impl Descriptor {
    /// The index and description of a field.
    pub fn field(&self, name: &str) -> Option<(usize, &'static Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name == name)
    }
}

/// One field of a record.
#[derive(Debug)]
pub struct Field {
    /// Its JSON name.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// What it holds.
    pub kind: fn() -> Kind,
    /// Whether it has to be given.
    pub required: bool,
}

/// A value as a mapping sees it. Cheap to copy; borrows from the record.
#[derive(Clone, Copy)]
pub enum Val<'a> {
    /// Not given.
    Missing,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// An exact decimal.
    Decimal(Decimal),
    /// A text.
    Str(&'a str),
    /// A calendar date.
    Date(Date),
    /// An instant.
    Time(Timestamp),
    /// A list.
    List(&'a dyn ListView),
    /// A record.
    Record(&'a dyn Record),
}

/// A list as a mapping sees it.
pub trait ListView {
    /// How many entries it has.
    fn len(&self) -> usize;
    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The entry at an index from 0; missing beyond the end.
    fn get(&self, index: usize) -> Val<'_>;
}

/// A record as a mapping sees it.
pub trait Record {
    /// Its description.
    fn descriptor(&self) -> &'static Descriptor;
    /// The field at an index of its descriptor.
    fn get(&self, index: usize) -> Val<'_>;
}

/// A type that a field can have.
pub trait FieldType: Sized + Default {
    /// What it holds.
    fn kind() -> Kind;
    /// Reads a value that is there and not null; what is wrong is told to the reader and becomes a default.
    fn read(json: &Json<'_>, reader: &mut Reader) -> Self;
    /// The value when the field is absent or null.
    fn absent(reader: &mut Reader) -> Self {
        reader.fault(fault::REQUIRED, "has to be given");
        Self::default()
    }
    /// Whether absence is a fault.
    const REQUIRED: bool = true;
    /// How a mapping sees it.
    fn view(&self) -> Val<'_>;
}

/// Where the reader stands, and what it found wrong.
#[derive(Debug, Default)]
pub struct Reader {
    path: Vec<Step>,
    faults: Faults,
    warnings: Faults,
}

#[derive(Debug, Clone)]
enum Step {
    Name(Cow<'static, str>),
    Index(usize),
}

impl Reader {
    /// Adds a fault at the present place.
    pub fn fault(&mut self, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        let pointer = self.pointer();
        self.faults.push(Fault::new(pointer, code, detail));
    }

    /// Adds a warning at the present place.
    pub fn warn(&mut self, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        let pointer = self.pointer();
        self.warnings.push(Fault::new(pointer, code, detail));
    }

    /// Reads inside a member of an object.
    pub fn within<T>(&mut self, name: impl Into<Cow<'static, str>>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Name(name.into()));
        let value = read(self);
        self.path.pop();
        value
    }

    /// Reads inside an entry of a list.
    pub fn within_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Index(index));
        let value = read(self);
        self.path.pop();
        value
    }

    /// The JSON pointer of the present place (RFC 6901).
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Name(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }

    /// Faults and warnings found.
    pub fn finish(self) -> (Faults, Faults) {
        (self.faults, self.warnings)
    }

    /// Tells of members that the record does not have. The name itself is input: only its nearest
    /// known neighbour is told, and the pointer keeps a name only when it is a plain short word.
    pub fn unknown_field(&mut self, name: &str, known: &'static [Field]) {
        let nearest = known
            .iter()
            .map(|field| (strsim::jaro_winkler(name, field.name), field.name))
            .filter(|(similarity, _)| *similarity > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let detail: Cow<'static, str> = match nearest {
            Some((_, name)) => format!("no such field; did you mean {name}?").into(),
            None => "no such field".into(),
        };
        let plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let shown = if plain { name.to_owned() } else { "*".to_owned() };
        self.within(shown, |reader| reader.fault(fault::UNKNOWN_FIELD, detail));
    }
}

/// Whether the field at a dotted path is not given; a path that leads nowhere is not given.
pub fn lacks(record: &dyn Record, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some((index, _)) = record.descriptor().field(name) else { return true };
    match (record.get(index), rest) {
        (Val::Missing, _) => true,
        (Val::Record(inner), Some(rest)) => lacks(inner, rest),
        (_, rest) => rest.is_some(),
    }
}

/// Reads one named member of an object: absent and null are the same.
pub fn read_member<T: FieldType>(object: &[(Cow<'_, str>, Json<'_>)], name: &'static str, reader: &mut Reader) -> T {
    let value = object.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    reader.within(name, |reader| match value {
        None | Some(Json::Null) => T::absent(reader),
        Some(value) => T::read(value, reader),
    })
}

/// Declares a record. See the module's text.
#[macro_export]
macro_rules! record {
    ($(#[doc = $doc:literal])* pub struct $name:ident {
        $($(#[doc = $field_doc:literal])* $field:ident $(as $json:literal)? : $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// The record's description: names, meanings and kinds of its fields.
            pub const DESCRIPTOR: &'static $crate::domain::record::Descriptor = &$crate::domain::record::Descriptor {
                name: stringify!($name),
                doc: concat!($($doc),*),
                fields: &[$($crate::domain::record::Field {
                    name: $crate::record!(@name $field $($json)?),
                    doc: concat!($($field_doc),*),
                    kind: <$type as $crate::domain::record::FieldType>::kind,
                    required: $crate::record!(@required $type $(, $default)?),
                }),*],
            };
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::record!(@default $type $(, $default)?),)* }
            }
        }

        impl $crate::domain::record::Record for $name {
            fn descriptor(&self) -> &'static $crate::domain::record::Descriptor {
                Self::DESCRIPTOR
            }

            fn get(&self, index: usize) -> $crate::domain::record::Val<'_> {
                let mut counter = 0usize;
                $(
                    if index == counter {
                        return $crate::domain::record::FieldType::view(&self.$field);
                    }
                    counter += 1;
                )*
                let _ = counter;
                $crate::domain::record::Val::Missing
            }
        }

        impl $crate::domain::record::FieldType for $name {
            fn kind() -> $crate::domain::record::Kind {
                $crate::domain::record::Kind::Record(Self::DESCRIPTOR)
            }

            fn read(json: &$crate::domain::json::Json<'_>, reader: &mut $crate::domain::record::Reader) -> Self {
                let $crate::domain::json::Json::Object(members) = json else {
                    reader.fault($crate::domain::fault::WRONG_TYPE, "has to be an object");
                    return Self::default();
                };
                for (key, _) in members {
                    if Self::DESCRIPTOR.field(key).is_none() {
                        reader.unknown_field(key, Self::DESCRIPTOR.fields);
                    }
                }
                Self { $($field: $crate::record!(@read members, reader, $crate::record!(@name $field $($json)?), $type $(, $default)?),)* }
            }

            fn view(&self) -> $crate::domain::record::Val<'_> {
                $crate::domain::record::Val::Record(self)
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $json:literal) => { $json };
    (@required $type:ty) => { <$type as $crate::domain::record::FieldType>::REQUIRED };
    (@required $type:ty, $default:expr) => { false };
    (@default $type:ty) => { <$type as Default>::default() };
    (@default $type:ty, $default:expr) => { $default };
    (@read $members:ident, $reader:ident, $name:expr, $type:ty) => {
        $crate::domain::record::read_member::<$type>($members, $name, $reader)
    };
    (@read $members:ident, $reader:ident, $name:expr, $type:ty, $default:expr) => {
        $crate::domain::record::read_member::<Option<$type>>($members, $name, $reader).unwrap_or_else(|| $default)
    };
}

/// Declares a closed list of words. The first is the default of a faulty value.
#[macro_export]
macro_rules! choice {
    ($(#[doc = $doc:literal])* pub enum $name:ident { $($(#[doc = $word_doc:literal])* $variant:ident = $word:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $word_doc])* $variant,)* }

        impl $name {
            /// Every word of the list, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word as it stands in JSON, tables and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value of a word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| serde::de::Error::custom(concat!("not a word of ", stringify!($name))))
            }
        }

        impl $crate::domain::record::FieldType for $name {
            fn kind() -> $crate::domain::record::Kind {
                $crate::domain::record::Kind::Choice(Self::WORDS)
            }

            fn read(json: &$crate::domain::json::Json<'_>, reader: &mut $crate::domain::record::Reader) -> Self {
                match json {
                    $crate::domain::json::Json::Text(text) => Self::parse(text).unwrap_or_else(|| {
                        reader.fault($crate::domain::fault::UNKNOWN_VALUE, concat!("one of:" $(, " ", $word)*));
                        Self::default()
                    }),
                    _ => {
                        reader.fault($crate::domain::fault::WRONG_TYPE, concat!("has to be a text, one of:" $(, " ", $word)*));
                        Self::default()
                    }
                }
            }

            fn view(&self) -> $crate::domain::record::Val<'_> {
                $crate::domain::record::Val::Str(self.as_str())
            }
        }
    };
}

impl<T: FieldType> FieldType for Option<T> {
    const REQUIRED: bool = false;

    fn kind() -> Kind {
        T::kind()
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        Some(T::read(json, reader))
    }

    fn absent(_: &mut Reader) -> Self {
        None
    }

    fn view(&self) -> Val<'_> {
        self.as_ref().map_or(Val::Missing, FieldType::view)
    }
}

/// Most entries that any list of a record may have.
pub const MAX_LIST: usize = 1000;

impl<T: FieldType> FieldType for Vec<T> {
    const REQUIRED: bool = false;

    fn kind() -> Kind {
        Kind::List(T::kind)
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        let Json::List(list) = json else {
            reader.fault(fault::WRONG_TYPE, "has to be a list");
            return Vec::new();
        };
        if list.len() > MAX_LIST {
            reader.fault(fault::TOO_MANY, "at most 1000 entries");
            return Vec::new();
        }
        let read = |(index, entry): (usize, &Json<'_>)| reader.within_index(index, |reader| T::read(entry, reader));
        list.iter().enumerate().map(read).collect()
    }

    fn absent(_: &mut Reader) -> Self {
        Vec::new()
    }

    fn view(&self) -> Val<'_> {
        Val::List(self)
    }
}

impl<T: FieldType> ListView for Vec<T> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, index: usize) -> Val<'_> {
        self.as_slice().get(index).map_or(Val::Missing, FieldType::view)
    }
}

impl<T: FieldType> FieldType for Box<T> {
    const REQUIRED: bool = T::REQUIRED;

    fn kind() -> Kind {
        T::kind()
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        Box::new(T::read(json, reader))
    }

    fn absent(reader: &mut Reader) -> Self {
        Box::new(T::absent(reader))
    }

    fn view(&self) -> Val<'_> {
        T::view(self)
    }
}

impl<T: FieldType> FieldType for std::collections::BTreeMap<String, T> {
    const REQUIRED: bool = false;

    fn kind() -> Kind {
        Kind::Map(T::kind)
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        let Json::Object(members) = json else {
            reader.fault(fault::WRONG_TYPE, "has to be an object");
            return Self::new();
        };
        let read = |(key, value): &(Cow<'_, str>, Json<'_>)| {
            let key = key.clone().into_owned();
            let value = reader.within(key.clone(), |reader| T::read(value, reader));
            (key, value)
        };
        members.iter().map(read).collect()
    }

    fn absent(_: &mut Reader) -> Self {
        Self::new()
    }

    fn view(&self) -> Val<'_> {
        Val::Missing
    }
}
