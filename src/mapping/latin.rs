//! Texts of other scripts in Latin letters, by the tables of the crate `deunicode`.
//!
//! Letter by letter: good enough to read a name and an address, not a translation. Han is read as
//! Mandarin. What the tables do not know becomes `?`: a name with one odd sign still reaches
//! customs, and the sender is told.

/// A text that was written anew.
pub(super) struct Written {
    pub text: String,
    /// Whether something had no Latin letters.
    pub unknown: bool,
}

/// A text in Latin letters with their accents; `None` when it is so already.
pub(super) fn latin(text: &str) -> Option<Written> {
    written(text, is_latin)
}

/// A text in ASCII; `None` when it is so already.
pub(super) fn ascii(text: &str) -> Option<Written> {
    written(text, |c| c.is_ascii())
}

/// Letters of the Latin blocks, accents that combine with them, and the signs between words that
/// every script shares.
fn is_latin(c: char) -> bool {
    matches!(c,
        '\0'..='\u{24f}'
        | '\u{300}'..='\u{36f}'
        | '\u{1e00}'..='\u{1eff}'
        | '\u{2010}'..='\u{2027}'
        | '\u{2030}'..='\u{203a}'
        | '\u{20a0}'..='\u{20cf}')
}

fn written(text: &str, stays: fn(char) -> bool) -> Option<Written> {
    if text.chars().all(stays) {
        return None;
    }
    let mut made = Written { text: String::with_capacity(text.len()), unknown: false };
    // The tables put a blank behind each Han character; it does not stand before a comma.
    let mut soft = false;
    let mut plain = [0u8; 4];
    for c in text.chars() {
        let kept = stays(c);
        let letters = if kept { Some(&*c.encode_utf8(&mut plain)) } else { deunicode::deunicode_char(c) };
        let letters = letters.unwrap_or_else(|| {
            made.unknown = true;
            "?"
        });
        if soft && letters.starts_with([',', '.', ';', ':', '!', '?', ')', '-']) {
            made.text.pop();
        }
        // A script without capitals: a word begins with one in Latin letters.
        let caseless = !kept && c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase();
        let begins = !made.text.chars().next_back().is_some_and(char::is_alphanumeric);
        match letters.chars().next().filter(|_| caseless && begins) {
            Some(first) => {
                made.text.push(first.to_ascii_uppercase());
                made.text.push_str(&letters[first.len_utf8()..]);
            }
            None => made.text.push_str(letters),
        }
        // A comma of a script that writes no blanks between words.
        if !kept && matches!(letters, "," | ";") {
            made.text.push(' ');
            soft = true;
            continue;
        }
        soft = if letters.is_empty() { soft } else { !kept && letters.len() > 1 && letters.ends_with(' ') };
    }
    made.text = folded(&made.text);
    Some(made)
}

/// Without blanks at both ends; line ends and blanks in a row become one blank.
pub(super) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_written_in_latin_letters() {
        for (text, in_latin, in_ascii) in [
            ("김민지, 서울특별시 종로구", "Gimminji, Seoulteugbyeolsi Jongrogu", "Gimminji, Seoulteugbyeolsi Jongrogu"),
            ("さくら カメラ", "Sakura Kamera", "Sakura Kamera"),
            ("北京市，朝阳区 5号", "Bei Jing Shi, Zhao Yang Qu 5Hao", "Bei Jing Shi, Zhao Yang Qu 5Hao"),
            ("กรุงเทพ", "Krungethph", "Krungethph"),
            ("Иванов Пётр", "Ivanov Piotr", "Ivanov Piotr"),
            ("Αθήνα", "Athena", "Athena"),
            ("Ørsted, Nguyễn 東京", "Ørsted, Nguyễn Dong Jing", "Orsted, Nguyen Dong Jing"),
            ("ＡＢＣ　１２３", "ABC 123", "ABC 123"),
            ("a\u{2028}b", "a b", "a b"),
        ] {
            assert_eq!(latin(text).map(|made| made.text).as_deref(), Some(in_latin), "{text}");
            assert_eq!(ascii(text).map(|made| made.text).as_deref(), Some(in_ascii), "{text}");
        }
        assert!(latin("Zoë Müller – 5 €, Đặng").is_none() && ascii("Zoe").is_none());
        assert_eq!(ascii("Straße “Müller” e\u{301}").map(|made| made.text).as_deref(), Some("Strasse \"Muller\" e"));
        let unknown = ascii("A\u{10ffff}B").expect("changed");
        assert_eq!((unknown.text.as_str(), unknown.unknown), ("A?B", true));
    }

    /// Nothing that is not ASCII comes out, and no line end.
    #[test]
    fn every_character_becomes_ascii() {
        for c in '\u{80}'..=char::MAX {
            let made = ascii(&format!("a{c}")).expect("changed").text;
            assert!(made.bytes().all(|b| matches!(b, b' '..=b'~')), "{:x}", u32::from(c));
        }
    }
}
