use proptest::prelude::*;

use super::*;
use crate::domain::time::from_millis;

const CHAIN: Uuid = Uuid::from_u128(7);

fn chain(links: u64) -> Vec<Link> {
    let mut previous = genesis(CHAIN);
    let mut made = Vec::new();
    for number in 1..=links {
        let mut entries = Vec::new();
        for part in 0..number {
            Entry { kind: EntryKind::ALL[(part % 5) as usize], subject: Uuid::from_u128(u128::from(part)), digest: [number as u8; 32] }
                .write(&mut entries);
        }
        let at = from_millis(1_795_000_000_000 + number as i64);
        let hash = seal(CHAIN, &previous, number, at, &entries);
        made.push(Link { chain: CHAIN, number, at, previous, entries, hash });
        previous = hash;
    }
    made
}

fn first_bad(links: &[Link]) -> Option<(u64, Why)> {
    let mut checker = Checker::default();
    links.iter().find_map(|link| checker.follow(link).err()).map(|bad| (bad.number, bad.why))
}

#[test]
fn a_whole_chain_holds_and_adds_up() {
    let links = chain(4);
    let mut checker = Checker::default();
    for link in &links {
        checker.follow(link).expect("sound");
    }
    let [sum] = checker.sums()[..] else { panic!("one chain") };
    assert_eq!((sum.links, sum.entries, sum.first), (4, 10, 1));
    assert_eq!((sum.first_at, sum.last_at), (links[0].at, links[3].at));
}

#[test]
fn whatever_is_changed_is_found_where_it_was_changed() {
    let change = |at: usize, change: &dyn Fn(&mut Link)| {
        let mut links = chain(4);
        change(&mut links[at]);
        first_bad(&links)
    };
    let table = [
        ("number", change(2, &|link| link.number = 9), (9, Why::Gap)),
        ("at", change(2, &|link| link.at = from_millis(5)), (3, Why::Hash)),
        ("previous", change(2, &|link| link.previous[31] ^= 1), (3, Why::Previous)),
        ("entries", change(2, &|link| link.entries[20] ^= 1), (3, Why::Hash)),
        ("hash", change(2, &|link| link.hash[0] ^= 1), (3, Why::Hash)),
        ("chain", change(2, &|link| link.chain = Uuid::from_u128(8)), (3, Why::Gap)),
    ];
    for (what, found, expected) in table {
        assert_eq!(found, Some(expected), "{what}");
    }
    let mut cut = chain(4);
    cut.remove(1);
    assert_eq!(first_bad(&cut), Some((3, Why::Gap)), "one left out");
    assert_eq!(first_bad(&chain(4)[1..]), Some((2, Why::Gap)), "the beginning left out");
    let mut partial = Checker::partial();
    assert!(chain(4)[1..].iter().all(|link| partial.follow(link).is_ok()), "an export may begin later");
    // Sealed soundly, but over nothing.
    let mut empty = chain(1);
    empty[0].entries.clear();
    empty[0].hash = seal(CHAIN, &empty[0].previous, 1, empty[0].at, &[]);
    assert_eq!(first_bad(&empty), Some((1, Why::Entries)));
}

#[test]
fn a_line_is_the_link_and_nothing_else_is() {
    let link = chain(3).remove(2);
    let line = to_line(&link).expect("entries");
    assert_eq!(from_line(&line), Some(link.clone()));
    assert!(line.contains("\"kind\":\"declaration\"") && line.contains("\"at\":\"2026-"), "{line}");
    let digest = "03".repeat(32);
    for (from, to) in [
        ("\"number\":3", "\"number\":-3"),
        ("\"number\":3", "\"number\":3,\"more\":1"),
        (digest.as_str(), "03"),
        (digest.as_str(), &"0G".repeat(32)),
        ("declaration", "something"),
        (".003Z", ".0030001Z"),
        ("\"hash\"", "\"hush\""),
    ] {
        assert!(line.contains(from) && from_line(&line.replacen(from, to, 1)).is_none(), "{from} to {to}");
    }
    assert_eq!(from_line(""), None);
    let broken = Link { entries: vec![0; ENTRY_BYTES], ..link };
    assert_eq!(to_line(&broken), None, "no kind has the code 0");
}

#[test]
fn digests_tell_their_parts_apart() {
    let (salt, other) = ([1; 16], [2; 16]);
    let declaration = DeclarationId::new();
    let base = of_version(&salt, declaration, 1, b"body");
    for different in [
        of_version(&other, declaration, 1, b"body"),
        of_version(&salt, DeclarationId::new(), 1, b"body"),
        of_version(&salt, declaration, 2, b"body"),
        of_version(&salt, declaration, 1, b"bodies"),
    ] {
        assert_ne!(base.digest, different.digest);
    }
    let act = |parts: &[&[u8]]| of_act(&salt, CHAIN, parts).digest;
    assert_ne!(act(&[b"ab", b"c"]), act(&[b"a", b"bc"]));
    assert_ne!(act(&[b"ab"]), act(&[b"ab", b""]));
}

proptest! {
    #[test]
    fn any_line_is_read_without_a_panic(text in "\\PC{0,200}") {
        let _ = from_line(&text);
    }

    #[test]
    fn any_flipped_bit_of_a_line_is_no_link_or_a_bad_one(place in 0usize..2000, bit in 0u8..7) {
        let links = chain(3);
        let mut bytes = to_line(&links[1]).expect("entries").into_bytes();
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let changed = String::from_utf8(bytes).ok().and_then(|line| from_line(&line));
        if let Some(changed) = changed {
            prop_assert!(changed == links[1] || first_bad(&[links[0].clone(), changed, links[2].clone()]).is_some());
        }
    }
}
