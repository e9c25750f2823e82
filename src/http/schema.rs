//! JSON schemas for the OpenAPI document: from our records' own descriptions, or derived from answer types.
//!
//! A [`Shape`] adds what it needs to the document's components and gives the schema to stand at its place, so that a
//! route's row can name a type without the document knowing it.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, SchemaFormat};

use crate::domain::record::{Descriptor, FieldType, Kind};

/// Makes a schema; what it refers to goes into the components.
pub type Shape = fn(&mut Schemas) -> RefOr<Schema>;

/// The document's named schemas.
#[derive(Default)]
pub struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    /// Takes them out.
    pub fn into_inner(self) -> BTreeMap<String, RefOr<Schema>> {
        self.0
    }
}

/// The shape of an answer type that derives [`ToSchema`].
pub fn answer<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let name = T::name().into_owned();
    if !schemas.0.contains_key(&name) {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        schemas.0.extend(inner);
        schemas.0.insert(name.clone(), T::schema());
    }
    Ref::from_schema_name(name).into()
}

/// The shape of a record, as its own description says it.
pub fn record<T: FieldType>(schemas: &mut Schemas) -> RefOr<Schema> {
    of_kind(T::kind(), schemas)
}

/// Plain text.
pub fn text(_: &mut Schemas) -> RefOr<Schema> {
    typed(Type::String, None).build().into()
}

/// Any bytes.
pub fn bytes(_: &mut Schemas) -> RefOr<Schema> {
    typed(Type::String, Some(KnownFormat::Binary)).build().into()
}

/// Any JSON object.
pub fn object(_: &mut Schemas) -> RefOr<Schema> {
    typed(Type::Object, None).build().into()
}

fn typed(schema_type: Type, format: Option<KnownFormat>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type).format(format.map(SchemaFormat::KnownFormat))
}

fn of_kind(kind: Kind, schemas: &mut Schemas) -> RefOr<Schema> {
    match kind {
        Kind::Text => typed(Type::String, None).build().into(),
        Kind::Integer => typed(Type::Integer, None).build().into(),
        Kind::Decimal => typed(Type::String, None).pattern(Some(r"^-?[0-9]+(\.[0-9]+)?$")).build().into(),
        Kind::Bool => typed(Type::Boolean, None).build().into(),
        Kind::Date => typed(Type::String, Some(KnownFormat::Date)).build().into(),
        Kind::Timestamp => typed(Type::String, Some(KnownFormat::DateTime)).build().into(),
        Kind::Choice(words) => typed(Type::String, None).enum_values(Some(words.iter().copied())).build().into(),
        Kind::List(entry) => ArrayBuilder::new().items(of_kind(entry(), schemas)).build().into(),
        Kind::Map(value) => {
            let values = of_kind(value(), schemas);
            typed(Type::Object, None).additional_properties(Some(AdditionalProperties::RefOr(values))).build().into()
        }
        Kind::Record(descriptor) => of_descriptor(descriptor, schemas),
    }
}

fn of_descriptor(descriptor: &'static Descriptor, schemas: &mut Schemas) -> RefOr<Schema> {
    let name = descriptor.name.to_owned();
    let reference = Ref::from_schema_name(name.clone()).into();
    if schemas.0.contains_key(&name) {
        return reference;
    }
    // Stands in while the fields are walked, so that a record that holds itself ends.
    schemas.0.insert(name.clone(), Schema::Object(utoipa::openapi::Object::new()).into());
    let mut object = typed(Type::Object, None)
        .description(Some(sentence(descriptor.doc)))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for field in descriptor.fields {
        let schema = documented(of_kind((field.kind)(), schemas), &sentence(field.doc), !field.required);
        object = object.property(field.name, schema);
        if field.required {
            object = object.required(field.name);
        }
    }
    schemas.0.insert(name, object.build().into());
    reference
}

/// Adds the field's meaning, and `null` where the field may be left out: absent and null are the same to us.
fn documented(schema: RefOr<Schema>, doc: &str, nullable: bool) -> RefOr<Schema> {
    let or_null = |schema_type: SchemaType| match schema_type {
        SchemaType::Type(one) if nullable => SchemaType::from_iter([one, Type::Null]),
        other => other,
    };
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.description = Some(doc.to_owned());
            object.schema_type = or_null(object.schema_type);
            if let (true, Some(words)) = (nullable, object.enum_values.as_mut()) {
                words.push(serde_json::Value::Null);
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = Some(doc.to_owned());
            array.schema_type = or_null(array.schema_type);
            RefOr::T(Schema::Array(array))
        }
        other if nullable => {
            let null = ObjectBuilder::new().schema_type(Type::Null).build();
            Schema::OneOf(OneOfBuilder::new().item(other).item(null).description(Some(doc)).build()).into()
        }
        RefOr::Ref(mut reference) => {
            doc.clone_into(&mut reference.description);
            RefOr::Ref(reference)
        }
        other => other,
    }
}

/// Doc comments keep the blank after `///`.
fn sentence(doc: &str) -> String {
    doc.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::declaration::Declaration;

    fn schemas() -> Value {
        let mut schemas = Schemas::default();
        let place = serde_json::to_value(record::<Declaration>(&mut schemas)).expect("JSON");
        assert_eq!(place, json!({ "$ref": "#/components/schemas/Declaration" }));
        serde_json::to_value(schemas.into_inner()).expect("JSON")
    }

    /// The declaration is described as its record reads it: required fields, words, null where absent is allowed, no other fields.
    #[test]
    fn the_declaration_is_described_by_its_record() {
        let all = schemas();
        let declaration = &all["Declaration"];
        assert_eq!(declaration["additionalProperties"], false);
        let required: Vec<_> =
            Declaration::DESCRIPTOR.fields.iter().filter(|field| field.required).map(|field| json!(field.name)).collect();
        assert_eq!(declaration["required"], json!(required));
        assert_eq!(declaration["properties"].as_object().expect("fields").len(), Declaration::DESCRIPTOR.fields.len());
        assert_eq!(declaration["properties"]["mail_class"]["enum"], json!(["E", "C", "U"]));
        assert_eq!(declaration["properties"]["posted_on"]["format"], "date");
        assert_eq!(declaration["properties"]["category_explanation"]["type"], json!(["string", "null"]));
        assert_eq!(declaration["properties"]["contents"]["type"], json!(["array", "null"]));
        assert!(declaration["properties"]["item_id"]["description"].as_str().is_some_and(|doc| !doc.is_empty()));
        let reference = declaration["properties"]["contents"]["items"]["$ref"].as_str().expect("a reference");
        let line = &all[reference.rsplit('/').next().expect("a name")];
        assert!(line["required"].as_array().expect("required").contains(&json!("description")));
    }
}
