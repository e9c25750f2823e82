//! Blocks of Unicode in patterns (`\p{IsBasicLatin}`): XML Schema has them, the regular expressions that the
//! crate translates to have not. They are written as ranges before the schema is read.

/// Blocks by their names in XML Schema 1.0, with their first and last character.
#[rustfmt::skip]
const BLOCKS: &[(&str, u32, u32)] = &[
    ("BasicLatin", 0x0, 0x7f), ("Latin-1Supplement", 0x80, 0xff), ("LatinExtended-A", 0x100, 0x17f), ("LatinExtended-B", 0x180, 0x24f),
    ("IPAExtensions", 0x250, 0x2af), ("SpacingModifierLetters", 0x2b0, 0x2ff), ("CombiningDiacriticalMarks", 0x300, 0x36f),
    ("Greek", 0x370, 0x3ff), ("Cyrillic", 0x400, 0x4ff), ("Armenian", 0x530, 0x58f), ("Hebrew", 0x590, 0x5ff), ("Arabic", 0x600, 0x6ff),
    ("Devanagari", 0x900, 0x97f), ("Bengali", 0x980, 0x9ff), ("Tamil", 0xb80, 0xbff), ("Thai", 0xe00, 0xe7f), ("Lao", 0xe80, 0xeff),
    ("Georgian", 0x10a0, 0x10ff), ("HangulJamo", 0x1100, 0x11ff), ("Khmer", 0x1780, 0x17ff), ("LatinExtendedAdditional", 0x1e00, 0x1eff),
    ("GreekExtended", 0x1f00, 0x1fff), ("GeneralPunctuation", 0x2000, 0x206f), ("SuperscriptsandSubscripts", 0x2070, 0x209f),
    ("CurrencySymbols", 0x20a0, 0x20cf), ("LetterlikeSymbols", 0x2100, 0x214f), ("NumberForms", 0x2150, 0x218f), ("Arrows", 0x2190, 0x21ff),
    ("MathematicalOperators", 0x2200, 0x22ff), ("CJKSymbolsandPunctuation", 0x3000, 0x303f), ("Hiragana", 0x3040, 0x309f),
    ("Katakana", 0x30a0, 0x30ff), ("Bopomofo", 0x3100, 0x312f), ("HangulCompatibilityJamo", 0x3130, 0x318f),
    ("CJKUnifiedIdeographsExtensionA", 0x3400, 0x4db5), ("CJKUnifiedIdeographs", 0x4e00, 0x9fff), ("HangulSyllables", 0xac00, 0xd7a3),
    ("PrivateUse", 0xe000, 0xf8ff), ("CJKCompatibilityIdeographs", 0xf900, 0xfaff), ("HalfwidthandFullwidthForms", 0xff00, 0xffef),
];

/// The text of a schema with known blocks as ranges. An unknown one stays, and its pattern is then refused.
pub(super) fn as_ranges(schema: &str) -> String {
    let mut text = String::with_capacity(schema.len());
    let mut rest = schema;
    while let Some((at, negated)) =
        rest.find(r"\p{Is").map(|at| (at, false)).into_iter().chain(rest.find(r"\P{Is").map(|at| (at, true))).min()
    {
        let (before, found) = rest.split_at(at);
        text.push_str(before);
        let end = found.find('}').map_or(found.len(), |end| end + 1);
        let (escape, after) = found.split_at(end);
        let name = escape.get(r"\p{Is".len()..end.saturating_sub(1)).unwrap_or_default();
        match (range(name), in_class(&text), negated) {
            (Some(range), true, false) => text.push_str(&range),
            (Some(range), false, false) => text.extend(["[", &range, "]"]),
            (Some(range), false, true) => text.extend(["[^", &range, "]"]),
            _ => text.push_str(escape),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// A block as the inside of a character class of a pattern, in an attribute's value. What XML cannot hold is
/// not in it.
fn range(name: &str) -> Option<String> {
    let (_, first, last) = BLOCKS.iter().find(|(known, ..)| *known == name)?;
    let from = (*first).max(0x20);
    let controls = if *first < from { r"\t\n\r" } else { "" };
    Some(format!("{controls}&#x{from:x};-&#x{last:x};"))
}

/// Whether a pattern's text so far ends inside a character class.
fn in_class(before: &str) -> bool {
    let pattern = before.rsplit(['"', '\'']).next().unwrap_or_default();
    let (mut inside, mut escaped) = (false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::as_ranges;

    #[test]
    fn known_blocks_become_ranges_in_and_out_of_classes() {
        let table = [
            (r#"<p value="\p{IsBasicLatin}+"/>"#, r#"<p value="[\t\n\r&#x20;-&#x7f;]+"/>"#),
            (r#"<p value='[a\]\p{IsGreek}]\P{IsThai}'/>"#, r#"<p value='[a\]&#x370;-&#x3ff;][^&#xe00;-&#xe7f;]'/>"#),
            (r#"<p value="\p{IsNothing}\p{L}"/>"#, r#"<p value="\p{IsNothing}\p{L}"/>"#),
            (r#"<p value="\p{Is"#, r#"<p value="\p{Is"#),
            ("plain", "plain"),
        ];
        for (schema, expected) in table {
            assert_eq!(as_ranges(schema), expected);
        }
    }
}
