//! How we prove to a broker who we are, beside the client certificate.
//!
//! The record says what stands in the file; [`Auth::how`] makes one way of it, or tells every key
//! that is missing or out of place. A secret never stands in the configuration: only where it is
//! kept, a file or an environment variable.

use super::{FilePath, HttpUrl};
use crate::domain::text::{Private, Text};
use crate::{choice, record};

choice! {
    /// How we prove who we are.
    pub enum AuthKind {
        /// By the client certificate alone.
        None = "none",
        /// By a header with a fixed value.
        Header = "header",
        /// By user and password (RFC 7617).
        Basic = "basic",
        /// By a token of an OAuth 2.0 server, client credentials grant (RFC 6749, 4.4).
        Oauth2 = "oauth2",
    }
}
choice! {
    /// How client id and secret reach the token's server.
    pub enum ClientAuth {
        /// In the form.
        Body = "body",
        /// As user and password (RFC 6749, 2.3.1).
        Basic = "basic",
    }
}
record! {
    /// Authentication at a broker beside the client certificate.
    pub struct Auth {
        /// How we prove who we are: `none` (the certificate alone), `header`, `basic` or `oauth2`.
        kind: AuthKind,
        /// `header`: its name, for example `Authorization` or `X-Api-Key`.
        name: Option<Text<64>>,
        /// `header`: a word before the value, with a blank between them.
        prefix: Option<Text<64>>,
        /// `header`: the file that holds the value.
        value_file: Option<FilePath>,
        /// `header`: the environment variable that holds the value.
        value_env: Option<Text<255>>,
        /// `basic`: the user.
        user: Option<Private<255>>,
        /// `basic`: the file that holds the password.
        password_file: Option<FilePath>,
        /// `basic`: the environment variable that holds the password.
        password_env: Option<Text<255>>,
        /// `oauth2`: where tokens are given out (https).
        token_url: Option<HttpUrl>,
        /// `oauth2`: our id there.
        client_id: Option<Private<255>>,
        /// `oauth2`: the file that holds our secret.
        secret_file: Option<FilePath>,
        /// `oauth2`: the environment variable that holds our secret.
        secret_env: Option<Text<255>>,
        /// `oauth2`: what the token shall allow, words with blanks between them.
        scope: Option<Text<1024>>,
        /// `oauth2`: `body` (default): id and secret go in the form; `basic`: as user and password.
        client_auth: Option<ClientAuth>,
        /// `oauth2`: CA of the token server's certificate (PEM); absent: as for the broker.
        ca: Option<FilePath>,
    }
}

/// Where a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlace<'a> {
    /// In a file.
    File(&'a FilePath),
    /// In an environment variable.
    Environment(&'a str),
}

/// One way to prove who we are, whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How<'a> {
    /// By the client certificate alone.
    Certificate,
    /// By a header.
    Header {
        /// Its name.
        name: &'a str,
        /// What stands before the value.
        prefix: Option<&'a str>,
        /// The value.
        value: SecretPlace<'a>,
    },
    /// By user and password.
    Basic {
        /// The user.
        user: &'a Private<255>,
        /// The password.
        password: SecretPlace<'a>,
    },
    /// By a token.
    Token {
        /// Where tokens are given out.
        url: &'a HttpUrl,
        /// Our id there.
        client_id: &'a Private<255>,
        /// Our secret there.
        secret: SecretPlace<'a>,
        /// What the token shall allow.
        scope: Option<&'a str>,
        /// How id and secret are handed over.
        client_auth: ClientAuth,
        /// Whom we trust there; none: whom we trust at the broker.
        ca: Option<&'a FilePath>,
    },
}

/// A key and what is wrong with it.
pub(super) type KeyFault = (&'static str, &'static str);

/// Headers that are ours or the connection's.
const TAKEN_HEADERS: [&str; 14] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-conversation-id",
];

impl Auth {
    /// The way that is configured. Keys that are wrong make it none: the configuration was refused then.
    pub fn how(&self) -> Option<How<'_>> {
        self.judge().ok()
    }

    /// The way, or every key that is missing or out of place.
    pub(super) fn judge(&self) -> Result<How<'_>, Vec<KeyFault>> {
        let mut faults = self.strangers();
        let how = match self.kind {
            AuthKind::None => Some(How::Certificate),
            AuthKind::Header => self.header(&mut faults),
            AuthKind::Basic => self.basic(&mut faults),
            AuthKind::Oauth2 => self.token(&mut faults),
        };
        match how {
            Some(how) if faults.is_empty() => Ok(how),
            _ => Err(faults),
        }
    }

    fn header(&self, faults: &mut Vec<KeyFault>) -> Option<How<'_>> {
        let name = needed(self.name.as_ref(), "name", faults).map(Text::as_str);
        let value = secret(self.value_file.as_ref(), self.value_env.as_ref(), ("value_file", VALUE), faults);
        let token = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if name.is_some_and(|name| !token(name) || TAKEN_HEADERS.iter().any(|taken| name.eq_ignore_ascii_case(taken))) {
            faults.push(("name", "a header's name, not one that the gateway or the connection sets itself"));
        }
        Some(How::Header { name: name?, prefix: self.prefix.as_ref().map(Text::as_str), value: value? })
    }

    fn basic(&self, faults: &mut Vec<KeyFault>) -> Option<How<'_>> {
        let user = needed(self.user.as_ref(), "user", faults);
        let password = secret(self.password_file.as_ref(), self.password_env.as_ref(), ("password_file", PASSWORD), faults);
        if user.is_some_and(|user| user.expose().contains(':')) {
            faults.push(("user", "a user has no colon (RFC 7617)"));
        }
        Some(How::Basic { user: user?, password: password? })
    }

    fn token(&self, faults: &mut Vec<KeyFault>) -> Option<How<'_>> {
        let url = needed(self.token_url.as_ref(), "token_url", faults);
        let client_id = needed(self.client_id.as_ref(), "client_id", faults);
        let secret = secret(self.secret_file.as_ref(), self.secret_env.as_ref(), ("secret_file", SECRET), faults);
        if url.is_some_and(|url| url.0.scheme() != "https") {
            faults.push(("token_url", "has to be https: the secret travels there"));
        }
        Some(How::Token {
            url: url?,
            client_id: client_id?,
            secret: secret?,
            scope: self.scope.as_ref().map(Text::as_str),
            client_auth: self.client_auth.unwrap_or_default(),
            ca: self.ca.as_ref(),
        })
    }

    /// Keys that belong to another kind: they would silently do nothing.
    fn strangers(&self) -> Vec<KeyFault> {
        let keys = [
            (AuthKind::Header, "name", self.name.is_some()),
            (AuthKind::Header, "prefix", self.prefix.is_some()),
            (AuthKind::Header, "value_file", self.value_file.is_some()),
            (AuthKind::Header, "value_env", self.value_env.is_some()),
            (AuthKind::Basic, "user", self.user.is_some()),
            (AuthKind::Basic, "password_file", self.password_file.is_some()),
            (AuthKind::Basic, "password_env", self.password_env.is_some()),
            (AuthKind::Oauth2, "token_url", self.token_url.is_some()),
            (AuthKind::Oauth2, "client_id", self.client_id.is_some()),
            (AuthKind::Oauth2, "secret_file", self.secret_file.is_some()),
            (AuthKind::Oauth2, "secret_env", self.secret_env.is_some()),
            (AuthKind::Oauth2, "scope", self.scope.is_some()),
            (AuthKind::Oauth2, "client_auth", self.client_auth.is_some()),
            (AuthKind::Oauth2, "ca", self.ca.is_some()),
        ];
        let stranger = |(kind, key, given): (AuthKind, &'static str, bool)| {
            (given && kind != self.kind).then_some((key, "belongs to another `kind` of authentication"))
        };
        keys.into_iter().filter_map(stranger).collect()
    }
}

const VALUE: &str = "one of `value_file` and `value_env` has to be given";
const PASSWORD: &str = "one of `password_file` and `password_env` has to be given";
const SECRET: &str = "one of `secret_file` and `secret_env` has to be given";

fn needed<'a, T>(value: Option<&'a T>, key: &'static str, faults: &mut Vec<KeyFault>) -> Option<&'a T> {
    if value.is_none() {
        faults.push((key, "has to be given for this `kind`"));
    }
    value
}

fn secret<'a>(
    file: Option<&'a FilePath>,
    variable: Option<&'a Text<255>>,
    missing: KeyFault,
    faults: &mut Vec<KeyFault>,
) -> Option<SecretPlace<'a>> {
    match (file, variable) {
        (Some(file), None) => Some(SecretPlace::File(file)),
        (None, Some(variable)) => Some(SecretPlace::Environment(variable.as_str())),
        _ => {
            faults.push(missing);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    /// The faults of a broker with these lines, without those of its section's name.
    fn faults(broker: &str) -> Vec<String> {
        let text = format!(
            "[callbacks]\ncertificate = 'a'\nkey = 'a'\nclient_ca = 'a'\n[posts.K]\nname = 'K'\nclient_identities = ['k']\n\
             [brokers.b]\nmapping = 'm'\nurl = 'https://localhost/'\nrate = {{ per_second = 1 }}\n{broker}\n[[routes]]\nbroker = 'b'"
        );
        let faults = crate::config::load_text(&text, std::iter::empty()).err().unwrap_or_default();
        faults.iter().map(|fault| fault.to_string().trim_start_matches("brokers.b.").to_owned()).collect()
    }

    /// The faulty keys of an authentication.
    fn of(auth: &str) -> Vec<String> {
        faults(&format!("certificate = 'c'\nkey = 'k'\n[brokers.b.auth]\n{auth}"))
    }

    #[test]
    fn each_kind_asks_for_its_own_keys_and_refuses_others() {
        const AT: &str = "auth.";
        for (auth, keys) in [
            ("kind = 'none'", vec![]),
            ("kind = 'header'\nname = 'X-Api-Key'\nvalue_file = 'a'", vec![]),
            ("kind = 'basic'\nuser = 'u'\npassword_env = 'P'", vec![]),
            (
                "kind = 'oauth2'\ntoken_url = 'https://a/t'\nclient_id = 'c'\nsecret_file = 's'\nscope = 'a b'\nclient_auth = 'basic'",
                vec![],
            ),
            ("name = 'x'", vec!["kind", "name"]),
            ("kind = 'magic'", vec!["kind"]),
            ("kind = 'none'\nuser = 'u'", vec!["user"]),
            ("kind = 'header'", vec!["name", "value_file"]),
            ("kind = 'header'\nname = 'Content-Type'\nvalue_file = 'a'\nvalue_env = 'B'", vec!["value_file", "name"]),
            ("kind = 'header'\nname = 'a b'\nvalue_file = 'a'", vec!["name"]),
            ("kind = 'basic'\nuser = 'a:b'\nsecret_file = 'x'", vec!["secret_file", "password_file", "user"]),
            ("kind = 'oauth2'\ntoken_url = 'http://a/t'", vec!["client_id", "secret_file", "token_url"]),
            ("kind = 'basic'\nuser = 'u'\npassword_file = 'p'\npassword = 'secret'", vec!["password"]),
        ] {
            let found = of(auth);
            let wrong: Vec<&str> =
                found.iter().map(|fault| fault.strip_prefix(AT).unwrap_or(fault).split(':').next().unwrap_or_default()).collect();
            assert_eq!(wrong, keys, "{auth}");
            assert!(!found.iter().any(|fault| fault.contains("secret'") || fault.contains("a:b")), "{found:?}");
        }
    }

    #[test]
    fn the_client_certificate_may_be_left_out_only_beside_another_proof() {
        let basic = "[brokers.b.auth]\nkind = 'basic'\nuser = 'u'\npassword_file = 'p'";
        for (lines, key) in [
            ("certificate = 'c'\nkey = 'k'", None),
            (basic, None),
            ("", Some("certificate")),
            ("[brokers.b.auth]\nkind = 'none'", Some("certificate")),
            (&format!("certificate = 'c'\n{basic}"), Some("key")),
            (&format!("key = 'k'\n{basic}"), Some("certificate")),
        ] {
            let found = faults(lines);
            let keys: Vec<&str> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
            assert_eq!(keys, key.into_iter().collect::<Vec<_>>(), "{lines}: {found:?}");
        }
    }
}
