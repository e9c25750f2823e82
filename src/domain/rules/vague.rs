//! Descriptions that say nothing of the goods.
//!
//! Customs refuse them, but where the border lies is a matter of opinion and of language: so this is
//! only a warning, and it looks for general words that stand alone, never for words within a text.

/// Whether a description says nothing of the goods: it is a general word as a whole, has no letter,
/// or repeats one character. A general word *within* a description is no fault ("cotton cap, gift").
/// Annex B of Delegated Regulation (EU) 2015/2446, data element 18 05, refuses such descriptions.
pub(super) fn is_vague(description: &str) -> bool {
    let core = description.trim_matches(|c: char| !c.is_alphanumeric());
    if core.len() <= LONGEST_GENERAL_WORD && GENERAL_WORDS.iter().any(|word| word.eq_ignore_ascii_case(core)) {
        return true;
    }
    let first = core.chars().next();
    !core.chars().any(char::is_alphabetic) || (core.is_ascii() && core.chars().all(|c| Some(c) == first))
}

/// Words that are no description when they stand alone, in English, the language of the forms.
const GENERAL_WORDS: &[&str] = &[
    "accessories",
    "accessory",
    "all kinds of goods",
    "apparel",
    "appliance",
    "appliances",
    "article",
    "articles",
    "as ordered",
    "as per attached invoice",
    "as per invoice",
    "assorted",
    "assorted goods",
    "bag",
    "bags",
    "belongings",
    "birthday gift",
    "birthday gifts",
    "birthday present",
    "box",
    "boxes",
    "cargo",
    "carton",
    "cartons",
    "chemical",
    "chemicals",
    "christmas gift",
    "clothes",
    "clothing",
    "commodity",
    "commodities",
    "component",
    "components",
    "consignment",
    "consol",
    "consolidated",
    "consolidated cargo",
    "consolidation",
    "content",
    "contents",
    "cosmetics",
    "courier",
    "daily necessities",
    "e-commerce",
    "ecommerce",
    "electrical goods",
    "electronic goods",
    "electronic items",
    "electronics",
    "equipment",
    "food",
    "foodstuff",
    "foodstuffs",
    "freight",
    "freight all kinds",
    "freight of all kinds",
    "from upu postal",
    "garment",
    "garments",
    "general",
    "general cargo",
    "general goods",
    "general merchandise",
    "gift",
    "gift box",
    "gift items",
    "gifts",
    "goods",
    "household goods",
    "household items",
    "item",
    "items",
    "letter",
    "machine",
    "machine parts",
    "machinery",
    "mail",
    "material",
    "materials",
    "medicine",
    "merchandise",
    "misc",
    "miscellaneous",
    "miscellaneous goods",
    "mixed",
    "mixed goods",
    "n.a",
    "n/a",
    "na",
    "nil",
    "no commercial value",
    "no value",
    "none",
    "not applicable",
    "null",
    "order",
    "other",
    "others",
    "package",
    "packages",
    "packet",
    "parcel",
    "parcels",
    "part",
    "parts",
    "personal belongings",
    "personal effects",
    "personal goods",
    "personal items",
    "post",
    "postal item",
    "present",
    "presents",
    "product",
    "products",
    "purchase",
    "sample",
    "samples",
    "see attached invoice",
    "see invoice",
    "shipment",
    "souvenir",
    "souvenirs",
    "spare parts",
    "spares",
    "stuff",
    "supplies",
    "tbd",
    "test",
    "thing",
    "things",
    "tool",
    "tools",
    "toy",
    "toys",
    "unknown",
    "various",
    "various goods",
    "various items",
    "wearing apparel",
];

const LONGEST_GENERAL_WORD: usize = {
    let mut longest = 0;
    let mut index = 0;
    while index < GENERAL_WORDS.len() {
        if GENERAL_WORDS[index].len() > longest {
            longest = GENERAL_WORDS[index].len();
        }
        index += 1;
    }
    longest
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_description_is_vague() {
        for vague in
            ["Gift", "GOODS", " goods. ", "N/A", "n/a.", "none", "sample", "Parcel", "1234", "---", "aaa", "as per attached invoice"]
        {
            assert!(is_vague(vague), "{vague}");
        }
        for clear in ["Cotton cushion cover, gift", "Gift wrapping paper", "Hat", "陶器の茶碗", "선물용 양말", "ああ", "Lip tint, 4 g"]
        {
            assert!(!is_vague(clear), "{clear}");
        }
    }
}
