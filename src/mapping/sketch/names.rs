//! Names of elements as words: `traderItemID` is trader, item, id. A word is compared whole: a part of one says nothing
//! (there is `sport` in every transport).

/// A name of an element or attribute, as its words in small letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Name(Vec<String>);

impl Name {
    /// Splits at what is no letter, before a capital after a small letter (`lineNo`), and before the last of several
    /// capitals (`VATValue`). Digits stand for themselves.
    pub(super) fn new(name: &str) -> Self {
        let local: Vec<char> = name.rsplit(':').next().unwrap_or(name).chars().collect();
        let mut words: Vec<String> = Vec::new();
        let mut last: Option<char> = None;
        for (at, &c) in local.iter().enumerate() {
            let next_small = local.get(at + 1).is_some_and(|next| next.is_ascii_lowercase());
            let begins = match last {
                Some(before) if before.is_ascii_digit() => !c.is_ascii_digit(),
                Some(before) if before.is_ascii_uppercase() => c.is_ascii_digit() || c.is_ascii_uppercase() && next_small,
                Some(before) if before.is_ascii_lowercase() => !c.is_ascii_lowercase(),
                _ => true,
            };
            last = Some(c);
            if !c.is_ascii_alphanumeric() {
                continue;
            }
            match words.last_mut().filter(|_| !begins) {
                Some(word) => word.push(c.to_ascii_lowercase()),
                None => words.push(c.to_ascii_lowercase().to_string()),
            }
        }
        Self(words)
    }

    /// Whether one of these stands in it: a word, or several in a row (`postal code`, which a name may write as one).
    pub(super) fn has(&self, patterns: &[&str]) -> bool {
        patterns.iter().any(|pattern| {
            let words: Vec<&str> = pattern.split(' ').collect();
            self.0.windows(words.len()).any(|window| window.iter().zip(&words).all(|(word, wanted)| word == wanted))
                || words.len() > 1 && self.0.contains(&words.concat())
        })
    }

    /// Whether it is one of these and nothing else.
    pub(super) fn is(&self, patterns: &[&str]) -> bool {
        let whole = self.0.join(" ");
        patterns.contains(&whole.as_str())
    }
}
