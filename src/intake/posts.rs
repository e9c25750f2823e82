//! Posts, and how a request shows which one it comes from.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::mapping::PostContext;

/// A post as the road needs it.
#[derive(Debug)]
pub struct PostProfile {
    /// Its code.
    pub code: Arc<str>,
    /// Its name.
    pub name: String,
    /// Issuing countries of the S10 ids that it may declare; `*` for all.
    pub item_countries: Vec<String>,
    /// Brokers that it may use; `None`: all.
    pub brokers: Option<Vec<String>>,
}

impl PostProfile {
    /// The post as mappings and conditions see it.
    pub fn context(&self) -> PostContext<'_> {
        PostContext { code: &self.code, name: &self.name }
    }

    /// Whether it may use a broker.
    pub fn may_use(&self, broker: &str) -> bool {
        self.brokers.as_ref().is_none_or(|brokers| brokers.iter().any(|b| b == broker))
    }
}

/// All posts by what identifies them.
#[derive(Debug, Default)]
pub struct Posts {
    by_key: HashMap<[u8; 32], Arc<PostProfile>>,
    by_identity: HashMap<String, Arc<PostProfile>>,
}

impl Posts {
    /// The posts of a configuration.
    pub fn new(config: &Config) -> Self {
        let mut posts = Self::default();
        for (code, post) in &config.posts {
            let profile = Arc::new(PostProfile {
                code: Arc::from(code.as_str()),
                name: post.name.as_str().to_owned(),
                item_countries: post.item_countries.iter().map(ToString::to_string).collect(),
                brokers: post.brokers.as_ref().map(|brokers| brokers.iter().map(ToString::to_string).collect()),
            });
            for hash in &post.api_keys {
                posts.by_key.insert(hash.0, Arc::clone(&profile));
            }
            for identity in &post.client_identities {
                posts.by_identity.insert(identity.to_string(), Arc::clone(&profile));
            }
        }
        posts
    }

    /// The post of an API key. Keys are kept as SHA-256 only; the search is by the digest, so its
    /// timing tells nothing about a key.
    pub fn by_key(&self, key: &str) -> Option<Arc<PostProfile>> {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        self.by_key.get(&digest).cloned()
    }

    /// The post of a client certificate, by one of its SANs.
    pub fn by_identity<'a>(&self, mut sans: impl Iterator<Item = &'a str>) -> Option<Arc<PostProfile>> {
        sans.find_map(|san| self.by_identity.get(san).cloned())
    }
}
