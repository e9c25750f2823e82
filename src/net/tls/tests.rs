//! Certificates judged, and handshakes made: no sockets, both ends in memory.

use std::path::Path;
use std::sync::Arc;

use rcgen::SanType;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use super::*;
use crate::domain::time::Timestamp;
use crate::net::testing::{Files, Leaf, Pki};

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().expect("an instant")
}

fn fault(certificate: &Path, key: &Path) -> &'static str {
    load_pair(certificate, key, Purpose::Client, now()).map_or_else(MaterialFault::as_str, |_| "fit")
}

#[test]
fn a_pair_is_used_only_when_everything_about_it_is_right() {
    let pki = Pki::new();
    let good = pki.issue(Leaf::client("good"));
    let other = pki.issue(Leaf::client("other"));
    let ended = pki.issue(Leaf { years: (2020, 2025), ..Leaf::client("ended") });
    let later = pki.issue(Leaf { years: (2040, 2050), ..Leaf::client("later") });
    let server = pki.issue(Leaf::server("server"));
    let text = pki.write("text.pem", "no PEM");
    let read = |path: &Path| std::fs::read_to_string(path).expect("read");
    let whole = pki.write("whole.pem", &(read(&good.certificate) + &read(&pki.ca_file())));
    let muddled = pki.write("muddled.pem", &(read(&good.certificate) + &read(&other.certificate)));
    let broken = pki.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (certificate, key, expected) in [
        (&good.certificate, &good.key, "fit"),
        (&whole, &good.key, "fit"),
        (&pki.path("none.pem"), &good.key, "certificate_unreadable"),
        (&pki.dir().to_owned(), &good.key, "certificate_unreadable"),
        (&good.certificate, &pki.path("none.key"), "key_unreadable"),
        (&text, &good.key, "certificate_not_pem"),
        (&broken, &good.key, "certificate_not_pem"),
        (&good.certificate, &text, "key_not_pem"),
        (&good.certificate, &other.key, "key_mismatch"),
        (&ended.certificate, &ended.key, "certificate_expired"),
        (&later.certificate, &later.key, "certificate_not_yet_valid"),
        (&server.certificate, &server.key, "certificate_wrong_purpose"),
        (&muddled, &good.key, "certificate_broken_chain"),
    ] {
        assert_eq!(fault(certificate, key), expected);
    }
    assert_eq!(load_roots(&text, now()).expect_err("no CA").as_str(), "ca_not_pem");
    assert_eq!(load_roots(&ended.certificate, now()).expect_err("ended").as_str(), "ca_expired");
}

#[test]
fn a_peer_is_known_by_its_names() {
    let pki = Pki::new();
    let mut leaf = Leaf::client("peer");
    leaf.sans.push(SanType::URI("urn:broker:Uk".try_into().expect("a URI")));
    let files = pki.issue(leaf);
    let peer = Peer::from_der(&material::certificates(&files.certificate, Part::Certificate).expect("read")[0]).expect("a peer");
    assert_eq!(peer.sans, ["Gateway.example", "urn:broker:Uk"]);
    assert_eq!((peer.serial.as_str(), peer.sha256.len()), ("15", 64));
    for (identity, expected) in
        [("gateway.EXAMPLE", true), ("urn:broker:Uk", true), ("urn:broker:uk", false), ("example", false), ("", false)]
    {
        assert_eq!(peer.is(identity), expected, "{identity}");
    }
    assert!(Peer::from_der(b"no certificate").is_none());
}

/// A handshake in memory; the peer that the server saw.
fn shake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<(Option<Peer>, Option<HandshakeKind>), rustls::Error> {
    let mut client = ClientConnection::new(Arc::clone(client), "localhost".try_into().expect("a name")).expect("a client");
    let mut server = ServerConnection::new(Arc::clone(server)).expect("a server");
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("written");
        }
        server.read_tls(&mut wire.as_slice()).expect("read");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("written");
        }
        client.read_tls(&mut wire.as_slice()).expect("read");
        client.process_new_packets()?;
    }
    assert!(!server.is_handshaking());
    Ok((Peer::of(&server), server.handshake_kind()))
}

/// A client that would resume its sessions if it could.
fn client(pki: &Pki, files: Option<&Files>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(load_roots(&pki.ca_file(), now()).expect("roots"));
    Arc::new(match files {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let pair = load_pair(&files.certificate, &files.key, Purpose::Client, now()).expect("a pair");
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair.certified)))
        }
    })
}

#[test]
fn who_comes_in() {
    let pki = Pki::new();
    let server = pki.issue(Leaf::server("server"));
    let known = pki.issue(Leaf::client("known"));
    let stranger_pki = Pki::new();
    let stranger = stranger_pki.issue(Leaf::client("stranger"));
    let unreadable = pki.write("unreadable.crl", "no list");
    let with = |crl: Option<&Path>, required: bool| {
        let ca = pki.ca_file();
        let files = ServerTlsFiles { certificate: &server.certificate, key: &server.key, client_ca: Some(&ca), crl, required };
        let tls = server_config(&files, now()).expect("a listener");
        (Arc::new(tls.config), tls.alarm.map(MaterialFault::as_str))
    };
    let no_list = with(None, true);
    let optional = with(None, false);
    let harmless = with(Some(&pki.revoke("harmless.crl", 999, 2090)), true);
    let revoked = with(Some(&pki.revoke("revoked.crl", 21, 2090)), true);
    let expired = with(Some(&pki.revoke("expired.crl", 999, 2022)), true);
    let unreadable = with(Some(&unreadable), true);
    let missing_optional = with(Some(&pki.path("missing.crl")), false);
    // listener, alarm → known client, stranger, without a certificate
    for (name, (config, alarm), expected_alarm, comes_in) in [
        ("no list", no_list, None, [true, false, false]),
        ("optional", optional, None, [true, false, true]),
        ("harmless", harmless, None, [true, false, false]),
        ("revoked", revoked, None, [false, false, false]),
        ("expired", expired, Some("crl_expired"), [false, false, false]),
        ("unreadable", unreadable, Some("crl_unusable"), [false, false, false]),
        ("missing, optional", missing_optional, Some("crl_unreadable"), [false, false, true]),
    ] {
        assert_eq!(alarm, expected_alarm, "{name}");
        for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
            let clients = [client(&pki, Some(&known), versions), client(&pki, Some(&stranger), versions), client(&pki, None, versions)];
            for (index, client) in clients.iter().enumerate() {
                assert_eq!(shake(&config, client).is_ok(), comes_in[index], "{name} client {index} {versions:?}");
            }
        }
    }
}

#[test]
fn sessions_are_never_resumed() {
    let pki = Pki::new();
    let server = pki.issue(Leaf::server("server"));
    let known = pki.issue(Leaf::client("known"));
    let ca = pki.ca_file();
    let files = ServerTlsFiles { certificate: &server.certificate, key: &server.key, client_ca: Some(&ca), crl: None, required: true };
    let config = Arc::new(server_config(&files, now()).expect("a listener").config);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let client = client(&pki, Some(&known), versions);
        for _ in 0..3 {
            let (peer, kind) = shake(&config, &client).expect("comes in");
            assert_eq!(kind.map(|kind| kind != HandshakeKind::Resumed), Some(true));
            assert!(peer.expect("a peer").is("gateway.example"));
        }
    }
}
