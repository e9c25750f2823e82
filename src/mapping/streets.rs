//! Splits a street line into its name and its house number, by a rule that is told to authors in the
//! table of functions. Addresses have no grammar: what does not fit the rule is all name.

/// Words behind a number that belong to it.
const BEHIND: [&str; 3] = ["bis", "ter", "quater"];
/// Words of lines whose number is none of a house.
const BOXES: [&str; 2] = ["box", "postfach"];

/// The name and the number of a street line.
pub(super) fn parts(line: &str) -> (String, Option<String>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let all = || (clean(&words), None);
    let bare = |word: &str| word.trim_matches([',', '.', ';']).to_lowercase();
    if words.len() < 2 || words.iter().any(|word| BOXES.contains(&bare(word).as_str())) {
        return all();
    }
    if is_number(words[0]) {
        let behind = usize::from(words.len() > 2 && BEHIND.contains(&bare(words[1]).as_str()));
        return (clean(&words[1 + behind..]), Some(clean(&words[..=behind])));
    }
    let last = words.len() - 1;
    let behind = usize::from(last > 1 && BEHIND.contains(&bare(words[last]).as_str()));
    let at = last - behind;
    if is_number(words[at]) { (clean(&words[..at]), Some(clean(&words[at..]))) } else { all() }
}

fn clean(words: &[&str]) -> String {
    words.join(" ").trim_matches([',', ';', ' ']).to_owned()
}

/// `12`, `12a`, `12-14`, `3/4`: digits first, never two letters in a row (`5th` is a name's part).
fn is_number(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';']);
    let letters = |pair: &[u8]| pair.iter().all(u8::is_ascii_alphabetic);
    word.bytes().next().is_some_and(|b| b.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/'))
        && !word.as_bytes().windows(2).any(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn street_lines_are_split_by_the_rule() {
        for (line, name, number) in [
            ("12 Jong-ro", "Jong-ro", Some("12")),
            ("12a, High Street", "High Street", Some("12a")),
            ("Hauptstraße 12-14", "Hauptstraße", Some("12-14")),
            ("Via Roma, 3/4", "Via Roma", Some("3/4")),
            ("Rue de la Paix 5 bis", "Rue de la Paix", Some("5 bis")),
            ("5 ter rue Foch", "rue Foch", Some("5 ter")),
            ("Straße des 17. Juni 135", "Straße des 17. Juni", Some("135")),
            ("5th Avenue 350", "5th Avenue", Some("350")),
            ("5th Avenue", "5th Avenue", None),
            ("종로 12", "종로", Some("12")),
            ("Jong-ro 5-gil 12", "Jong-ro 5-gil", Some("12")),
            ("5-gil", "5-gil", None),
            ("12", "12", None),
            ("PO Box 123", "PO Box 123", None),
            ("Postfach 12 34 56", "Postfach 12 34 56", None),
            ("Flat 2, High Street", "Flat 2, High Street", None),
            ("  ", "", None),
        ] {
            assert_eq!(parts(line), (name.to_owned(), number.map(str::to_owned)), "{line}");
        }
    }
}
