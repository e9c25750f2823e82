//! What stands in brackets of a path: the conditions on a step.

use rust_decimal::Decimal;

use super::faults::Remark;
use super::xpath::{Compare, Operand, Parsed, Parser, Predicate};

/// Signs of comparisons; longer ones first.
const SIGNS: [(&str, Compare); 6] = [
    ("!=", Compare::NotEqual),
    ("<=", Compare::LessOrEqual),
    (">=", Compare::GreaterOrEqual),
    ("=", Compare::Equal),
    ("<", Compare::Less),
    (">", Compare::Greater),
];

impl Parser<'_> {
    pub(super) fn either(&mut self) -> Parsed<Predicate> {
        let mut left = self.both()?;
        while self.keyword("or") {
            left = Predicate::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Parsed<Predicate> {
        let mut left = self.predicate()?;
        while self.keyword("and") {
            left = Predicate::And(Box::new(left), Box::new(self.predicate()?));
        }
        Ok(left)
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        let follows = |rest: &str| rest.starts_with([' ', '(', '\t']);
        let found = self.rest().strip_prefix(word).is_some_and(follows);
        if found {
            self.at += word.len();
        }
        found
    }

    fn predicate(&mut self) -> Parsed<Predicate> {
        self.blanks();
        if self.function("not") {
            self.deeper()?;
            let inner = self.either()?;
            self.higher();
            self.token(")")?;
            return Ok(Predicate::Not(Box::new(inner)));
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            let start = self.at;
            return match self.word().parse::<usize>() {
                Ok(position @ 1..) => Ok(Predicate::Position(position)),
                _ => Err((start, "positions count from 1".into())),
            };
        }
        if self.function("starts-with") {
            let (operand, text) = self.arguments()?;
            return Ok(Predicate::StartsWith(operand, text));
        }
        if self.function("contains") {
            let (operand, text) = self.arguments()?;
            return Ok(Predicate::Contains(operand, text));
        }
        let operand = self.operand()?;
        self.compared(operand)
    }

    /// A path, or `local-name()`.
    fn operand(&mut self) -> Parsed<Operand> {
        if self.function("local-name") {
            self.token(")")?;
            return Ok(Operand::LocalName);
        }
        self.union().map(Operand::Paths)
    }

    /// The two arguments of a function of texts.
    fn arguments(&mut self) -> Parsed<(Operand, String)> {
        let operand = self.operand()?;
        self.token(",")?;
        self.blanks();
        let at = self.at;
        let text = self.quoted()?;
        self.token(")")?;
        if text.is_empty() { Err((at, "every text holds the empty one: this says nothing".into())) } else { Ok((operand, text)) }
    }

    fn quoted(&mut self) -> Parsed<String> {
        self.literal()?.ok_or_else(|| (self.at, Remark::new("a text in quotes is expected")))
    }

    fn compared(&mut self, operand: Operand) -> Parsed<Predicate> {
        let sign = SIGNS.iter().find(|(sign, _)| self.take(sign)).map(|(_, compare)| *compare);
        let paths = match (operand, sign) {
            (Operand::Paths(paths), None) => return Ok(Predicate::Exists(paths)),
            (Operand::Paths(paths), Some(_)) => paths,
            (Operand::LocalName, Some(sign @ (Compare::Equal | Compare::NotEqual))) => {
                return Ok(Predicate::Equals(Operand::LocalName, self.quoted()?, sign == Compare::NotEqual));
            }
            (Operand::LocalName, _) => return Err((self.at, "local-name() is compared with a text by = or !=".into())),
        };
        let sign = sign.unwrap_or(Compare::Equal);
        let by_text = matches!(sign, Compare::Equal | Compare::NotEqual);
        if by_text && let Some(text) = self.literal()? {
            return Ok(Predicate::Equals(Operand::Paths(paths), text, sign == Compare::NotEqual));
        }
        self.blanks();
        let start = self.at;
        let end = self.rest().find(|c: char| !matches!(c, '0'..='9' | '.' | '-')).unwrap_or(self.rest().len());
        let number = Decimal::from_str_exact(&self.rest()[..end]).ok().filter(|_| end > 0);
        self.at += end;
        match number {
            Some(number) => Ok(Predicate::Number(paths, sign, number)),
            None if by_text => Err((start, "a text in quotes or a number is expected".into())),
            None => Err((start, "a number is expected".into())),
        }
    }
}
