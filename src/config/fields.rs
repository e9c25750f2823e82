//! Field types that only the configuration has.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::fault;
use crate::domain::json::Json;
use crate::domain::record::{FieldType, Kind, Reader, Val};

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    /// A port of the loopback interface.
    pub const fn loopback(port: u16) -> Self {
        Self(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port))
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::loopback(0)
    }
}

/// A file's path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

/// An absolute http or https address without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(pub url::Url);

impl Default for HttpUrl {
    #[allow(clippy::expect_used, reason = "a constant address")]
    fn default() -> Self {
        Self(url::Url::parse("https://invalid.invalid/").expect("a constant address"))
    }
}

/// SHA-256 of an API key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A share from 0 (exclusive) to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// A share known when this program was written.
    pub const fn new(share: f64) -> Self {
        Self(share)
    }

    /// The share.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(1.0)
    }
}

/// What a mapping asks for; its types are checked by the mapping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(pub toml::Table);

fn text<'j>(json: &'j Json<'_>, reader: &mut Reader) -> Option<&'j str> {
    if let Json::Text(text) = json {
        return Some(text);
    }
    reader.fault(fault::WRONG_TYPE, "has to be a text");
    None
}

macro_rules! field_type {
    ($type:ty, $json:ident, $reader:ident, $read:expr) => {
        impl FieldType for $type {
            fn kind() -> Kind {
                Kind::Text
            }

            fn read($json: &Json<'_>, $reader: &mut Reader) -> Self {
                $read
            }

            fn view(&self) -> Val<'_> {
                Val::Missing
            }
        }
    };
}

field_type!(Listen, json, reader, {
    let parsed = text(json, reader).map(|text| text.parse().ok());
    match parsed {
        Some(Some(address)) => Self(address),
        Some(None) => {
            reader.fault(fault::BAD_FORMAT, "an address and port like \"127.0.0.1:8080\"");
            Self::default()
        }
        None => Self::default(),
    }
});

field_type!(FilePath, json, reader, {
    let path = text(json, reader).unwrap_or("-");
    if path.is_empty() {
        reader.fault(fault::EMPTY, "has to be a path");
    }
    Self(PathBuf::from(path))
});

field_type!(HttpUrl, json, reader, {
    let parsed = text(json, reader).map(|text| url::Url::parse(text).ok());
    match parsed {
        Some(Some(url))
            if matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && url.password().is_none() =>
        {
            Self(url)
        }
        Some(_) => {
            reader.fault(fault::BAD_FORMAT, "an absolute http or https address without user and password");
            Self::default()
        }
        None => Self::default(),
    }
});

field_type!(KeyHash, json, reader, {
    let digest = text(json, reader).map(|text| text.strip_prefix("sha256:").and_then(unhex));
    match digest {
        Some(Some(hash)) => Self(hash),
        Some(None) => {
            reader.fault(fault::BAD_FORMAT, "`sha256:` and 64 hex digits: printf %s KEY | sha256sum");
            Self::default()
        }
        None => Self::default(),
    }
});

field_type!(Share, json, reader, {
    let share = match json {
        Json::Float(share) => Some(*share),
        Json::Integer(1) => Some(1.0),
        _ => None,
    };
    match share {
        Some(share) if share > 0.0 && share <= 1.0 => Self(share),
        _ => {
            reader.fault(fault::OUT_OF_RANGE, "a number above 0 and up to 1");
            Self::default()
        }
    }
});

impl FieldType for Settings {
    const REQUIRED: bool = false;

    fn kind() -> Kind {
        Kind::Map(|| Kind::Text)
    }

    fn read(json: &Json<'_>, reader: &mut Reader) -> Self {
        match to_toml(json) {
            Some(toml::Value::Table(table)) => Self(table),
            _ => {
                reader.fault(fault::WRONG_TYPE, "has to be a table");
                Self::default()
            }
        }
    }

    fn absent(_: &mut Reader) -> Self {
        Self::default()
    }

    fn view(&self) -> Val<'_> {
        Val::Missing
    }
}

fn to_toml(json: &Json<'_>) -> Option<toml::Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => toml::Value::Boolean(*value),
        Json::Integer(value) => toml::Value::Integer(*value),
        Json::Float(value) => toml::Value::Float(*value),
        Json::Text(text) => toml::Value::String(text.clone().into_owned()),
        Json::List(list) => toml::Value::Array(list.iter().filter_map(to_toml).collect()),
        Json::Object(members) => {
            toml::Value::Table(members.iter().filter_map(|(key, value)| Some((key.clone().into_owned(), to_toml(value)?))).collect())
        }
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
