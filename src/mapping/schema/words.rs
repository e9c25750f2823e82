//! What a schema asks for, in words: made of the schema alone, never of a message.

use xsd_schema::parser::frames::{ComplexContentResult, SimpleTypeVariety};
use xsd_schema::{ElementKey, FacetSet, SchemaSet, SimpleTypeKey, TypeKey, XmlTypeCode};

/// Most names or values that one text lists.
const MAX_LISTED: usize = 8;
/// Longest pattern that is shown.
const MAX_PATTERN: usize = 120;
/// Most steps from a type to the type that it is made of.
const MAX_STEPS: usize = 64;

/// The place of a schema that a message breaks.
#[derive(Default)]
pub(super) struct Asked<'a> {
    /// Type of the value.
    pub ty: Option<TypeKey>,
    /// Declaration of the element.
    pub element: Option<ElementKey>,
    /// Elements that may come here, or attributes that are missing.
    pub names: &'a [String],
    /// Whether the element ends here.
    pub ends: bool,
}

/// What the schema asks for by a rule at a place.
pub(super) fn detail(set: &SchemaSet, rule: &str, asked: &Asked<'_>) -> String {
    match rule {
        "cvc-complex-type.2.4" => content(asked),
        "cvc-complex-type.4" if !asked.names.is_empty() => format!("the attribute {} is required", listed(asked.names.iter())),
        "cvc-complex-type.3.2.1" | "cvc-complex-type.3.2.2" | "cvc-complex-type.3" => "the schema has no such attribute here".to_owned(),
        "cvc-complex-type.2.1" => "has to be empty".to_owned(),
        "cvc-complex-type.2.3" => "only elements, no text between them".to_owned(),
        "cvc-elt.1" => "the schema has no such element here".to_owned(),
        "cvc-elt.2" | "cvc-type.2" => "an abstract element or type: one that is made of it".to_owned(),
        "cvc-elt.3.1" => "may not be nil".to_owned(),
        "cvc-elt.3.2.1" | "cvc-elt.3.2.2" => "nil, so without content".to_owned(),
        "cvc-elt.4.1" | "cvc-elt.4.2" | "cvc-elt.4.3" => "xsi:type has to name a type of the schema that may stand here".to_owned(),
        "cvc-elt.5.2.2" | "cvc-elt.5.2.2.1" | "cvc-elt.5.2.2.2" => fixed(set, asked.element),
        "cvc-attribute.4" => "has to be the value that the schema fixes".to_owned(),
        "cvc-id.1" => "a reference to an ID that the message has".to_owned(),
        "cvc-id.2" => "an ID that the message has once".to_owned(),
        rule if rule.starts_with("cvc-identity-constraint") => {
            "a key of the schema: its values have to be there and may not repeat".to_owned()
        }
        rule => match asked.ty.map(|ty| value(set, rule, ty)) {
            Some(text) if !text.is_empty() => text,
            _ => format!("what the schema allows (rule {rule})"),
        },
    }
}

fn content(asked: &Asked<'_>) -> String {
    match (asked.ends, asked.names.is_empty()) {
        (true, true) => "an element is missing".to_owned(),
        (true, false) => format!("an element is missing: {}", listed(asked.names.iter())),
        (false, true) => "not allowed here; nothing more may follow".to_owned(),
        (false, false) => format!("not allowed here; expected: {}", listed(asked.names.iter())),
    }
}

fn fixed(set: &SchemaSet, element: Option<ElementKey>) -> String {
    let fixed = element.and_then(|key| set.arenas.elements.get(key)).and_then(|declaration| declaration.fixed_value.as_deref());
    fixed.map_or_else(|| "has to be the value that the schema fixes".to_owned(), |value| format!("has to be {value}"))
}

fn listed<'n>(names: impl ExactSizeIterator<Item = &'n String>) -> String {
    let more = names.len().saturating_sub(MAX_LISTED);
    let shown: Vec<&str> = names.take(MAX_LISTED).map(String::as_str).collect();
    if more > 0 {
        format!("{} and {more} more", shown.join(", "))
    } else {
        shown.join(" or ").replacen(" or ", ", ", shown.len().saturating_sub(2))
    }
}

/// What a value of a type has to be, by the rule that it breaks; all of it, where the rule names no facet.
fn value(set: &SchemaSet, rule: &str, ty: TypeKey) -> String {
    let shape = Shape::of(set, ty);
    let all = || {
        let parts = [shape.kind(), shape.length(), shape.enumeration(), shape.pattern(), shape.range(), shape.digits()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let one = match rule {
        "cvc-length-valid" | "cvc-minLength-valid" | "cvc-maxLength-valid" => shape.length(),
        "cvc-enumeration-valid" => shape.enumeration(),
        "cvc-pattern-valid" => shape.pattern(),
        "cvc-minInclusive-valid" | "cvc-maxInclusive-valid" | "cvc-minExclusive-valid" | "cvc-maxExclusive-valid" => shape.range(),
        "cvc-totalDigits-valid" | "cvc-fractionDigits-valid" => shape.digits(),
        _ => None,
    };
    one.unwrap_or_else(all)
}

/// Whether the values of a type are base64.
pub(super) fn is_base64(set: &SchemaSet, ty: TypeKey) -> bool {
    Shape::of(set, ty).code == Some(XmlTypeCode::Base64Binary)
}

/// A simple type with the types that it is made of, the nearest first.
struct Shape<'s> {
    facets: Vec<&'s FacetSet>,
    code: Option<XmlTypeCode>,
    list: bool,
}

impl<'s> Shape<'s> {
    fn of(set: &'s SchemaSet, ty: TypeKey) -> Self {
        let mut shape = Self { facets: Vec::new(), code: None, list: false };
        let mut next = Some(ty);
        for _ in 0..MAX_STEPS {
            next = match next {
                None => break,
                Some(TypeKey::Simple(key)) => shape.simple(set, key),
                Some(TypeKey::Complex(key)) => set.arenas.complex_types.get(key).and_then(|definition| {
                    if let ComplexContentResult::Simple(content) = &definition.content {
                        shape.facets.push(&content.facets);
                    }
                    definition.resolved_simple_content_type.or(definition.resolved_base_type)
                }),
            };
        }
        shape
    }

    fn simple(&mut self, set: &'s SchemaSet, key: SimpleTypeKey) -> Option<TypeKey> {
        if let Some(code) = set.get_type_code(key) {
            self.code = self.code.or(Some(code));
            return None;
        }
        let definition = set.arenas.simple_types.get(key)?;
        self.facets.push(&definition.facets);
        self.list |= matches!(definition.variety, SimpleTypeVariety::List);
        definition.resolved_base_type
    }

    fn first<T>(&self, of: impl Fn(&'s FacetSet) -> Option<T>) -> Option<T> {
        self.facets.iter().find_map(|facets| of(facets))
    }

    fn kind(&self) -> Option<String> {
        use XmlTypeCode as Code;
        let text = match self.code? {
            Code::Boolean => "true or false",
            Code::Decimal => "a decimal number",
            Code::Float | Code::Double => "a number",
            Code::Integer | Code::Long | Code::Int | Code::Short | Code::Byte => "a whole number",
            Code::NonNegativeInteger | Code::UnsignedLong | Code::UnsignedInt | Code::UnsignedShort | Code::UnsignedByte => {
                "a whole number from 0"
            }
            Code::PositiveInteger => "a whole number from 1",
            Code::NonPositiveInteger | Code::NegativeInteger => "a whole number below 1",
            Code::DateTime | Code::DateTimeStamp => "a date with time like 2026-11-20T12:00:00",
            Code::Date => "a date like 2026-11-20",
            Code::Time => "a time like 12:00:00",
            Code::GYear => "a year like 2026",
            Code::GYearMonth => "a month like 2026-11",
            Code::Duration => "a duration like P1D",
            Code::HexBinary => "hexadecimal digits in pairs",
            Code::Base64Binary => "base64",
            Code::AnyUri => "a URI",
            Code::Language => "a language like en",
            Code::NmToken | Code::Name | Code::NCName | Code::Id | Code::IdRef | Code::QName => "a name of XML",
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn length(&self) -> Option<String> {
        let unit = if self.list { "entries" } else { "characters" };
        let exact = self.first(|facets| facets.length.as_ref().map(|facet| facet.value));
        let least = self.first(|facets| facets.min_length.as_ref().map(|facet| facet.value)).filter(|least| *least > 0);
        let most = self.first(|facets| facets.max_length.as_ref().map(|facet| facet.value));
        Some(match (exact, least, most) {
            (Some(exact), ..) => format!("exactly {exact} {unit}"),
            (None, Some(least), Some(most)) if least == most => format!("exactly {least} {unit}"),
            // An empty value is said to be one; of a long one only the bound matters.
            (None, Some(1), Some(most)) => format!("not empty, at most {most} {unit}"),
            (None, Some(least), Some(most)) => format!("{least} to {most} {unit}"),
            (None, None, Some(most)) => format!("at most {most} {unit}"),
            (None, Some(1), None) => "not empty".to_owned(),
            (None, Some(least), None) => format!("at least {least} {unit}"),
            (None, None, None) => return None,
        })
    }

    fn enumeration(&self) -> Option<String> {
        let mut values: Vec<&String> = self.first(|facets| facets.enumeration.as_ref().map(|facet| facet.values.iter().collect()))?;
        values.sort_unstable();
        Some(format!("one of {}", listed(values.into_iter())))
    }

    fn pattern(&self) -> Option<String> {
        let steps = self.first(|facets| Some(&facets.patterns).filter(|steps| steps.iter().any(|step| !step.is_empty())))?;
        let of_step = |step: &Vec<_>| {
            step.iter().map(|pattern: &xsd_schema::types::facets::PatternFacet| pattern.value.as_str()).collect::<Vec<_>>().join(" or ")
        };
        let text = steps.iter().filter(|step| !step.is_empty()).map(of_step).collect::<Vec<_>>().join(" and ");
        let shown: String = text.chars().take(MAX_PATTERN).map(|c| if c.is_control() { '·' } else { c }).collect();
        Some(format!("of the form {shown}{}", if text.chars().count() > MAX_PATTERN { "…" } else { "" }))
    }

    fn range(&self) -> Option<String> {
        let from = self.first(|facets| facets.min_inclusive.as_ref().map(|facet| format!("at least {}", facet.value)));
        let above = self.first(|facets| facets.min_exclusive.as_ref().map(|facet| format!("more than {}", facet.value)));
        let to = self.first(|facets| facets.max_inclusive.as_ref().map(|facet| format!("at most {}", facet.value)));
        let below = self.first(|facets| facets.max_exclusive.as_ref().map(|facet| format!("less than {}", facet.value)));
        let parts: Vec<String> = [from.or(above), to.or(below)].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }

    fn digits(&self) -> Option<String> {
        let total = self.first(|facets| facets.total_digits.as_ref().map(|facet| format!("at most {} digits", facet.value)));
        let places = self.first(|facets| facets.fraction_digits.as_ref().map(|facet| format!("at most {} decimals", facet.value)));
        let parts: Vec<String> = [total, places].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}
