//! What a post says of a consignment: the transport that is known only when the dispatch closes, and its arrival.

use super::sound::parse;
use crate::domain::declaration::Transport;
use crate::domain::fault::{self, Fault, Faults};
use crate::domain::ids::S10;
use crate::domain::json::Json;
use crate::domain::record::{FieldType, Reader};
use crate::domain::text::{Day, Instant, Text};
use crate::error::{ApiError, Code};
use crate::store::ConsignmentItem;
use crate::{choice, record};

/// Most items of one consignment.
const MAX_ITEMS: usize = 10_000;

choice! {
    /// What items travel in.
    pub enum ConsignmentType {
        /// A dispatch of the post.
        Dispatch = "dispatch",
        /// A master air waybill.
        Mawb = "mawb",
        /// A bulk of another carrier.
        Bulk = "bulk",
    }
}
record! {
    /// An item of a consignment.
    pub struct ConsignedItem {
        /// S10 of the item.
        item_id: S10,
        /// Its posting date.
        posted_on: Day,
        /// The receptacle that it travels in.
        receptacle_id: Option<Text<35>>,
    }
}
record! {
    /// The dispatch, MAWB or bulk that items travel in. What is given replaces what was given before.
    pub struct Consignment {
        /// What it is.
        r#type as "type": ConsignmentType,
        /// How it travels; fills what the declarations of its items leave open.
        transport: Option<Transport>,
        /// Its items.
        items: Vec<ConsignedItem>,
        /// Nothing is added any more: the messages of its items are completed and sent.
        closed: Option<bool>,
    }
}
record! {
    /// The arrival of a consignment.
    pub struct Arrival {
        /// When, RFC 3339; when left out, now.
        at: Option<Instant>,
    }
}

impl Consignment {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 for malformed JSON, 422 with all faults.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let tree = parse(body)?;
        let mut reader = Reader::default();
        let consignment = <Self as FieldType>::read(&tree, &mut reader);
        let (mut faults, _) = reader.finish();
        if consignment.items.len() > MAX_ITEMS {
            faults.push_unless_covered(Fault::new("/items", fault::TOO_MANY, format!("at most {MAX_ITEMS} items")));
        }
        sound(faults, consignment)
    }

    /// The transport as the JSON that came: what completes a declaration has to read like a declaration's own.
    ///
    /// # Errors
    /// 400 for malformed JSON.
    pub fn transport_json(body: &[u8]) -> Result<String, ApiError> {
        let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| ApiError::from(Code::MalformedJson))?;
        Ok(value.get("transport").filter(|transport| transport.is_object()).map_or_else(|| "{}".to_owned(), ToString::to_string))
    }

    /// Its items, for the store.
    pub fn items(&self) -> Vec<ConsignmentItem> {
        let item = |item: &ConsignedItem| ConsignmentItem {
            item_id: item.item_id,
            posted_on: item.posted_on.0,
            receptacle_id: item.receptacle_id.as_ref().map(ToString::to_string),
        };
        self.items.iter().map(item).collect()
    }
}

impl Arrival {
    /// Reads a body; an empty one says nothing more.
    ///
    /// # Errors
    /// 400 for malformed JSON, 422 with all faults.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let tree = if body.is_empty() { Json::Object(Vec::new()) } else { parse(body)? };
        let mut reader = Reader::default();
        let arrival = <Self as FieldType>::read(&tree, &mut reader);
        sound(reader.finish().0, arrival)
    }
}

fn sound<T>(faults: Faults, value: T) -> Result<T, ApiError> {
    if faults.is_empty() { Ok(value) } else { Err(ApiError::new(Code::InvalidRequest).errors(faults.into_vec())) }
}
