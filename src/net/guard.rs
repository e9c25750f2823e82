//! The dial guard: which targets that somebody else named we connect to.
//!
//! A webhook's URL is chosen by a post, so it can point into our own network (SSRF). The guard is
//! policy only: functions of a URL and of an address. It is asked twice for each delivery: for the
//! URL as written, and for every address that its name resolves to, at the moment of dialling
//! ([`super::webhook_client`]); so a name that changes its mind (DNS rebinding) gains nothing.
//!
//! Invariants: public unicast addresses only, by the IANA special-purpose registries; every form
//! that carries an IPv4 address inside an IPv6 one is refused as such, whatever it carries; https
//! only. `[webhooks] dangerous_allow` is the one way around, and it is written in the configuration:
//! a host name in it may be private or loopback and plain http, a network in it whatever it holds.
//! The URL is judged after the `url` crate normalised it (`http://0x7f.1` is 127.0.0.1 by then).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest URL of a target, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// Why a target is refused. Never says what the target was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No absolute URL, or longer than [`MAX_URL_BYTES`].
    #[error("an absolute URL of at most 2048 bytes is needed")]
    Malformed,
    /// Not https.
    #[error("the scheme has to be https")]
    Scheme,
    /// User or password in it.
    #[error("user and password are not allowed in the URL")]
    Credentials,
    /// A name that stands for an inner machine.
    #[error("the host has to be a public name")]
    Host,
    /// A port of another service.
    #[error("the port has to be 443 or from 1024 up")]
    Port,
    /// An address that is not public unicast.
    #[error("the host has to have a public address")]
    Address,
}

impl Refusal {
    /// A word for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Scheme => "scheme",
            Self::Credentials => "credentials",
            Self::Host => "host",
            Self::Port => "port",
            Self::Address => "address",
        }
    }
}

/// What an address is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Public unicast.
    Public,
    /// RFC 1918, RFC 4193 (`fc00::/7`), RFC 6598 (carrier NAT).
    Private,
    /// This machine.
    Loopback,
    /// Link-local: cloud metadata lives there.
    LinkLocal,
    /// Multicast and broadcast.
    Multicast,
    /// Examples in documents, benchmarks.
    Documentation,
    /// "This host", or nothing assigned.
    Reserved,
    /// IPv4 inside IPv6: mapped, compatible, NAT64, 6to4, Teredo.
    Embedded,
}

/// The kind of an address, by the IANA IPv4 and IPv6 special-purpose address registries.
pub fn kind_of(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [10, ..] | [192, 168, ..] => AddressKind::Private,
        [172, b, ..] if b & 0xf0 == 16 => AddressKind::Private,
        [100, b, ..] if b & 0xc0 == 64 => AddressKind::Private,
        [127, ..] => AddressKind::Loopback,
        [169, 254, ..] => AddressKind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18 | 19, ..] => AddressKind::Documentation,
        [192, 88, 99, _] => AddressKind::Embedded,
        [224..=239, ..] | [255, 255, 255, 255] => AddressKind::Multicast,
        [0 | 240..=255, ..] | [192, 0, 0, _] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> AddressKind {
    let s = address.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Reserved,
        // compatible ::a.b.c.d, mapped ::ffff:a.b.c.d, translated ::ffff:0:a.b.c.d, NAT64 64:ff9b::/96 and 64:ff9b:1::/48
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, ..] => AddressKind::Embedded,
        // Teredo 2001::/32, 6to4 2002::/16
        [0x2001, 0, ..] | [0x2002, ..] => AddressKind::Embedded,
        [0x2001, 0xdb8, ..] => AddressKind::Documentation,
        // the rest of 2001::/23: benchmarks, ORCHID and other protocols
        [0x2001, 0..=0x1ff, ..] => AddressKind::Reserved,
        [0x3fff, b, ..] if b & 0xf000 == 0 => AddressKind::Documentation,
        [a, ..] if a & 0xfe00 == 0xfc00 => AddressKind::Private,
        // link-local and the old site-local
        [a, ..] if a & 0xff80 == 0xfe80 => AddressKind::LinkLocal,
        [a, ..] if a & 0xff00 == 0xff00 => AddressKind::Multicast,
        [a, ..] if a & 0xe000 == 0x2000 => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

/// A network in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let base: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(longest), |p| p.parse().ok())?;
        (prefix <= longest).then_some(Self { base, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        // Both left-aligned in 128 bits, so that one mask serves both families.
        let (a, b) = match (self.base, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()) << 96, u128::from(b.to_bits()) << 96),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits()),
            _ => return false,
        };
        let rest = 128 - u32::from(self.prefix);
        (a ^ b).checked_shr(rest).unwrap_or(0) == 0
    }
}

/// The guard, with what the configuration allows beyond public targets.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    hosts: Vec<String>,
    networks: Vec<Network>,
}

impl Guard {
    /// A guard with the entries of `[webhooks] dangerous_allow`: host names, addresses, networks.
    ///
    /// # Errors
    /// The index of the first entry that is none of them.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, usize> {
        let mut guard = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            if let Some(network) = Network::parse(entry) {
                guard.networks.push(network);
            } else if let Some(Host::Domain(name)) = Host::parse(entry).ok().filter(|_| !entry.contains(['*', '/'])) {
                guard.hosts.push(plain_name(&name).to_owned());
            } else {
                return Err(index);
            }
        }
        Ok(guard)
    }

    /// Reads and judges a target as somebody wrote it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_text(&self, text: &str) -> Result<Url, Refusal> {
        if text.len() > MAX_URL_BYTES {
            return Err(Refusal::Malformed);
        }
        let url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
        self.check(&url)?;
        Ok(url)
    }

    /// Judges a target before it is dialled. What a name resolves to is for [`Guard::permits`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(Refusal::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let named = match url.host().ok_or(Refusal::Malformed)? {
            Host::Domain(name) => self.check_name(name, plain)?,
            Host::Ipv4(v4) => self.check_address(v4.into(), plain)?,
            Host::Ipv6(v6) => self.check_address(v6.into(), plain)?,
        };
        match url.port_or_known_default() {
            Some(443 | 1024..) => Ok(()),
            Some(1..) if named => Ok(()),
            _ => Err(Refusal::Port),
        }
    }

    /// Whether a connection may be opened to an address that `host` resolved to. Plain http never
    /// goes to an address only because it is public.
    pub fn permits(&self, host: &str, address: IpAddr, plain: bool) -> bool {
        if self.networks.iter().any(|network| network.contains(address)) {
            return true;
        }
        match kind_of(address) {
            AddressKind::Public => !plain || self.names(host),
            AddressKind::Private | AddressKind::Loopback => self.names(host),
            _ => false,
        }
    }

    fn names(&self, host: &str) -> bool {
        let host = plain_name(host);
        self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Says whether the name is allowed by itself. Where a network is allowed, a name is judged by what it resolves to.
    fn check_name(&self, name: &str, plain: bool) -> Result<bool, Refusal> {
        if self.names(name) {
            return Ok(true);
        }
        if !self.networks.is_empty() {
            return Ok(false);
        }
        let name = plain_name(name);
        let inner = ["localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "in-addr.arpa", "ip6.arpa"];
        let is_inner = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !name.contains('.') || inner.iter().any(is_inner) {
            return Err(Refusal::Host);
        }
        if plain { Err(Refusal::Scheme) } else { Ok(false) }
    }

    fn check_address(&self, address: IpAddr, plain: bool) -> Result<bool, Refusal> {
        if self.networks.iter().any(|network| network.contains(address)) {
            return Ok(true);
        }
        match kind_of(address) {
            AddressKind::Public if plain => Err(Refusal::Scheme),
            AddressKind::Public => Ok(false),
            _ => Err(Refusal::Address),
        }
    }
}

/// A fully qualified name may end with a dot; it is the same name.
fn plain_name(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_https_targets_pass() {
        for url in [
            "https://hooks.post.example/preclear",
            "https://hooks.post.example:8443/a?b=c",
            "https://HOOKS.post.example./x",
            "https://8.8.8.8/",
            "https://1.1.1.1:8443/",
            "https://172.15.255.255/",
            "https://172.32.0.1/",
            "https://100.63.255.255/",
            "https://100.128.0.1/",
            "https://[2606:4700:4700::1111]/",
            "https://[2a00:1450:4001:81b::200e]:8443/",
            "https://xn--e1afmkfd.example/",
        ] {
            assert!(Guard::default().check_text(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use Refusal::{Address, Credentials, Host, Malformed, Port, Scheme};
        let cases = [
            // forms
            ("", Malformed),
            ("hooks.post.example/x", Malformed),
            ("https://", Malformed),
            ("https:///etc/passwd", Host),
            ("https://[::1", Malformed),
            ("https://1.2.3.4.5/", Malformed),
            ("https://256.1.1.1/", Malformed),
            ("https://[fe80::1%25eth0]/", Malformed),
            ("http://hooks.post.example/", Scheme),
            ("http://8.8.8.8/", Scheme),
            ("ftp://hooks.post.example/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("gopher://127.0.0.1:6379/_INFO", Scheme),
            ("javascript:alert(1)", Scheme),
            ("https://user@hooks.post.example/", Credentials),
            ("https://user:word@hooks.post.example/", Credentials),
            ("https://hooks.post.example@127.0.0.1/", Credentials),
            // ports of other services
            ("https://hooks.post.example:22/", Port),
            ("https://hooks.post.example:25/", Port),
            ("https://hooks.post.example:80/", Port),
            ("https://8.8.8.8:53/", Port),
            ("https://hooks.post.example:0/", Port),
            // names of inner machines
            ("https://localhost/", Host),
            ("https://LOCALHOST:8443/", Host),
            ("https://localhost./", Host),
            ("https://a.b.localhost/", Host),
            ("https://localhost.localdomain/", Host),
            ("https://printer.local/", Host),
            ("https://metadata.google.internal/", Host),
            ("https://intranet/", Host),
            ("https://router.home.arpa/", Host),
            ("https://1.0.0.127.in-addr.arpa/", Host),
            // IPv4, in every notation
            ("https://127.0.0.1/", Address),
            ("https://127.255.255.254/", Address),
            ("https://127.1/", Address),
            ("https://2130706433/", Address),
            ("https://0x7f000001/", Address),
            ("https://0x7f.0.0.1/", Address),
            ("https://0177.0.0.1/", Address),
            ("https://017700000001/", Address),
            ("https://①②⑦.⓪.⓪.①/", Address),
            ("https://127%2e0%2e0%2e1/", Address),
            ("https://127。0。0。1/", Address),
            ("https://0/", Address),
            ("https://0.0.0.0/", Address),
            ("https://0.1.2.3/", Address),
            ("https://10.0.0.1/", Address),
            ("https://10.255.255.255/", Address),
            ("https://172.16.0.1/", Address),
            ("https://172.31.255.255/", Address),
            ("https://192.168.0.1/", Address),
            ("https://3232235521/", Address),
            ("https://100.64.0.1/", Address),
            ("https://100.127.255.255/", Address),
            ("https://169.254.169.254/latest/meta-data/", Address),
            ("https://0xA9FEA9FE/", Address),
            ("https://192.0.0.1/", Address),
            ("https://192.0.2.1/", Address),
            ("https://192.88.99.1/", Address),
            ("https://198.18.0.1/", Address),
            ("https://198.51.100.7/", Address),
            ("https://203.0.113.7/", Address),
            ("https://224.0.0.1/", Address),
            ("https://239.255.255.255/", Address),
            ("https://240.0.0.1/", Address),
            ("https://255.255.255.255/", Address),
            // IPv6
            ("https://[::]/", Address),
            ("https://[::1]/", Address),
            ("https://[0:0:0:0:0:0:0:1]/", Address),
            ("https://[::ffff:127.0.0.1]/", Address),
            ("https://[::ffff:7f00:1]/", Address),
            ("https://[::ffff:8.8.8.8]/", Address),
            ("https://[::ffff:0:127.0.0.1]/", Address),
            ("https://[::127.0.0.1]/", Address),
            ("https://[::a9fe:a9fe]/", Address),
            ("https://[64:ff9b::7f00:1]/", Address),
            ("https://[64:ff9b:1::a00:1]/", Address),
            ("https://[2002:7f00:1::]/", Address),
            ("https://[2001:0:53aa:64c:0:fbff:80ff:fffe]/", Address),
            ("https://[2001:2::1]/", Address),
            ("https://[2001:db8::1]/", Address),
            ("https://[3fff::1]/", Address),
            ("https://[100::1]/", Address),
            ("https://[fc00::1]/", Address),
            ("https://[fd00:ec2::254]/", Address),
            ("https://[fe80::1]/", Address),
            ("https://[fec0::1]/", Address),
            ("https://[ff02::1]/", Address),
            ("https://[5f00::1]/", Address),
        ];
        assert!(cases.len() >= 60);
        for (url, reason) in cases {
            assert_eq!(Guard::default().check_text(url).err(), Some(reason), "{url}");
        }
        let long = format!("https://hooks.post.example/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(Guard::default().check_text(&long).err(), Some(Malformed));
    }

    #[test]
    fn the_configuration_alone_opens_what_is_closed() {
        let guard = Guard::new(["sink.post.example", "10.1.0.0/16", "127.0.0.1", "[fd00::]/8"]).expect("entries");
        for url in [
            "http://sink.post.example:80/",
            "https://SINK.post.example.:22/",
            "http://10.1.2.3/",
            "https://10.1.255.255/",
            "http://127.0.0.1:9000/",
            "https://[fd12::1]/",
        ] {
            assert!(guard.check_text(url).is_ok(), "{url}");
        }
        for url in ["https://10.2.0.1/", "https://127.0.0.2/", "https://[fe80::1]/", "https://[::ffff:10.1.2.3]/", "http://8.8.8.8/"] {
            assert!(guard.check_text(url).is_err(), "{url}");
        }
        for (index, entries) in
            [(0, vec!["https://x.example"]), (1, vec!["a.example", "10.0.0.0/33"]), (0, vec!["*.example"]), (0, vec![""])]
        {
            assert_eq!(Guard::new(entries).err(), Some(index));
        }
    }

    #[test]
    fn a_name_is_dialled_only_at_addresses_that_it_may_have() {
        let guard = Guard::new(["sink.post.example", "10.1.0.0/16"]).expect("entries");
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (host, ip, plain, may) in [
            ("hooks.post.example", "8.8.8.8", false, true),
            ("hooks.post.example", "8.8.8.8", true, false),
            ("hooks.post.example", "10.1.0.9", true, true),
            ("hooks.post.example", "10.2.0.9", false, false),
            ("hooks.post.example", "127.0.0.1", false, false),
            ("hooks.post.example", "169.254.169.254", false, false),
            ("hooks.post.example", "::ffff:8.8.8.8", false, false),
            ("sink.post.example", "192.168.0.9", true, true),
            ("sink.post.example", "::1", false, true),
            ("sink.post.example", "169.254.169.254", false, false),
            ("sink.post.example", "0.0.0.0", false, false),
        ] {
            assert_eq!(guard.permits(host, address(ip), plain), may, "{host} at {ip}");
        }
    }
}
