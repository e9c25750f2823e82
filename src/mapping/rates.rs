//! The operator's dated rate table: `rates.csv` with the columns `from,to,valid_from,valid_until,rate,source`.
//!
//! One unit of `from` is `rate` units of `to`, from the first day to the last (open when that is
//! empty). Of several rows the one that began last counts. The inverse of a row is used when there
//! is no direct one; there are no cross rates: which way round a third currency is a decision of
//! the operator, and a row. Rates are exact decimals.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::Serialize;

use super::faults::{FileFaults, MappingFault};
use super::settings::SettingFault;
use crate::domain::codes::is_currency;
use crate::domain::text::is_xml_character;
use crate::domain::time::Date;

/// Largest rate table, in bytes.
pub const MAX_RATES_BYTES: usize = 32 * 1024 * 1024;
/// Most rows of it: 30 years of daily rates of 40 currencies.
pub const MAX_RATES: usize = 450_000;
const COLUMNS: [&str; 6] = ["from", "to", "valid_from", "valid_until", "rate", "source"];

/// Three letters of ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CurrencyCode([u8; 3]);

impl CurrencyCode {
    /// Reads three capital letters.
    pub(super) fn read(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A row of the table that a message was made with: one unit of `from` was `rate` units of `to`. An
/// amount in `to` was divided by the rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conversion {
    /// Currency of the row.
    pub from: String,
    /// Its other currency.
    pub to: String,
    /// The rate as it stands in the table.
    pub rate: Decimal,
    /// The day from which it is valid.
    pub date: Date,
    /// Who published it.
    pub source: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    from: Date,
    until: Option<Date>,
    rate: Decimal,
    source: Arc<str>,
}

/// A rate table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// Rows of each pair by their first day.
    pairs: HashMap<(CurrencyCode, CurrencyCode), Vec<Row>>,
}

/// A rate that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate<'r> {
    row: &'r Row,
    pair: (CurrencyCode, CurrencyCode),
    inverse: bool,
}

impl Rate<'_> {
    /// An amount in the other currency; `None` when it is too large.
    pub(super) fn convert(&self, amount: Decimal) -> Option<Decimal> {
        let converted = if self.inverse { amount.checked_div(self.row.rate) } else { amount.checked_mul(self.row.rate) };
        converted.map(|amount| amount.normalize())
    }

    pub(super) fn conversion(&self) -> Conversion {
        let (from, to) = (self.pair.0.as_str().to_owned(), self.pair.1.as_str().to_owned());
        Conversion { from, to, rate: self.row.rate, date: self.row.from, source: self.row.source.to_string() }
    }
}

impl Rates {
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The rate from one currency to another on a day.
    pub(super) fn find(&self, from: CurrencyCode, to: CurrencyCode, day: Date) -> Option<Rate<'_>> {
        let direct = |pair, inverse| self.row(pair, day).map(|row| Rate { row, pair, inverse });
        direct((from, to), false).or_else(|| direct((to, from), true))
    }

    /// Whether there is a rate from one currency to another on a day.
    pub(super) fn has(&self, from: &str, to: &str, day: Date) -> bool {
        let pair = CurrencyCode::read(from).zip(CurrencyCode::read(to));
        pair.is_some_and(|(from, to)| self.find(from, to, day).is_some())
    }

    fn row(&self, pair: (CurrencyCode, CurrencyCode), day: Date) -> Option<&Row> {
        let rows = self.pairs.get(&pair)?;
        let begun = rows.partition_point(|row| row.from <= day);
        rows.get(..begun)?.iter().rev().find(|row| row.until.is_none_or(|until| day <= until))
    }

    /// Reads a table; faults name their row's line.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Vec<MappingFault>> {
        let text = String::from_utf8_lossy(bytes);
        let mut faults = FileFaults::new(file, &text);
        if bytes.len() > MAX_RATES_BYTES {
            faults.at_line(1, format!("a rate table has {MAX_RATES_BYTES} bytes at most"));
            return Err(faults.into_vec());
        }
        if std::str::from_utf8(bytes).is_err() {
            faults.at_line(1, "the file has to be UTF-8");
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().map(|row| row.iter().map(str::to_owned).collect()).unwrap_or_default();
        if header != COLUMNS {
            faults.at_line(1, format!("the first line has to be: {}", COLUMNS.join(",")));
            return Err(faults.into_vec());
        }
        let (mut rates, mut rows) = (Builder::default(), 0);
        for row in reader.records() {
            match row {
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    faults.at_line(u32::try_from(line).unwrap_or(0), "each row needs as many columns as the first line");
                }
                Ok(row) => {
                    let line = u32::try_from(row.position().map_or(0, csv::Position::line)).unwrap_or(0);
                    rates.add(std::array::from_fn(|column| row.get(column).unwrap_or_default()), u64::from(line), |_, message| {
                        faults.at_line(line, message);
                    });
                }
            }
            rows += 1;
            if rows > MAX_RATES {
                faults.at_line(0, format!("at most {MAX_RATES} rows"));
                break;
            }
        }
        for line in rates.twice() {
            faults.at_line(u32::try_from(line).unwrap_or(0), TWICE);
        }
        if faults.is_empty() { Ok(rates.rates()) } else { Err(faults.into_vec()) }
    }

    /// Reads `[[rates]]` of a case, with the columns as keys.
    ///
    /// # Errors
    /// Every fault, with the key `rates.0.rate`.
    pub fn from_tables(tables: &[toml::Value]) -> Result<Self, Vec<SettingFault>> {
        let mut faults = Vec::new();
        let mut rates = Builder::default();
        for (index, value) in tables.iter().enumerate().take(MAX_RATES) {
            let mut fault = |key: &str, message: &str| {
                let key = if key.is_empty() { format!("rates.{index}") } else { format!("rates.{index}.{key}") };
                faults.push(SettingFault { key, message: message.to_owned() });
            };
            let Some(table) = value.as_table() else {
                fault("", "has to be a table");
                continue;
            };
            for key in table.keys().filter(|key| !COLUMNS.contains(&key.as_str())) {
                fault(key, "no such key");
            }
            let columns = COLUMNS.map(|column| match table.get(column) {
                None => String::new(),
                Some(toml::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            });
            rates.add(columns.each_ref().map(String::as_str), index as u64, |column, message| fault(column, message));
        }
        for index in rates.twice() {
            faults.push(SettingFault { key: format!("rates.{index}"), message: TWICE.to_owned() });
        }
        if faults.is_empty() { Ok(rates.rates()) } else { Err(faults) }
    }
}

const TWICE: &str = "there is another row of this pair from the same day";

/// Rows being read, each with its place in the file.
#[derive(Default)]
struct Builder {
    pairs: HashMap<(CurrencyCode, CurrencyCode), Vec<(Row, u64)>>,
    sources: HashMap<String, Arc<str>>,
}

impl Builder {
    fn add(&mut self, [from, to, valid_from, valid_until, rate, source]: [&str; 6], place: u64, mut fault: impl FnMut(&str, &str)) {
        const NO_CURRENCY: &str = "a current ISO 4217 currency code";
        let currency = |text: &str| CurrencyCode::read(text).filter(|_| is_currency(text));
        let (from, to) = (currency(from), currency(to));
        for (column, code) in [("from", from), ("to", to)] {
            if code.is_none() {
                fault(column, &format!("{column} has to be {NO_CURRENCY}"));
            }
        }
        if from.is_some() && from == to {
            fault("to", "from and to are the same currency");
        }
        let first: Option<Date> = valid_from.parse().ok();
        if first.is_none() {
            fault("valid_from", "valid_from has to be a date like 2026-11-20");
        }
        let last: Option<Date> = valid_until.parse().ok();
        if last.is_none() && !valid_until.is_empty() {
            fault("valid_until", "valid_until has to be a date like 2026-11-20, or empty");
        } else if last.is_some() && last < first {
            fault("valid_until", "valid_until is before valid_from");
        }
        let plain = rate.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let rate = Decimal::from_str_exact(rate).ok().filter(|rate| plain && *rate > Decimal::ZERO);
        if rate.is_none() {
            fault("rate", "rate has to be a decimal above 0 with a point, like 1.0845");
        }
        if source.chars().count() > 200 || !source.chars().all(is_xml_character) {
            fault("source", "source has at most 200 characters and no control characters");
        }
        if let (Some(from), Some(to), Some(first), Some(rate)) = (from, to, first, rate) {
            let source = Arc::clone(self.sources.entry(source.to_owned()).or_insert_with(|| Arc::from(source)));
            let row = Row { from: first, until: last, rate, source };
            self.pairs.entry((from, to)).or_default().push((row, place));
        }
    }

    /// Sorts each pair; places of rows that begin on the same day as another of their pair.
    fn twice(&mut self) -> Vec<u64> {
        let mut twice = Vec::new();
        for rows in self.pairs.values_mut() {
            rows.sort_by_key(|(row, place)| (row.from, *place));
            twice.extend(rows.windows(2).filter(|pair| pair[0].0.from == pair[1].0.from).map(|pair| pair[1].1));
        }
        twice.sort_unstable();
        twice
    }

    fn rates(self) -> Rates {
        let rows = |rows: Vec<(Row, u64)>| rows.into_iter().map(|(row, _)| row).collect();
        Rates { pairs: self.pairs.into_iter().map(|(pair, list)| (pair, rows(list))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "from,to,valid_from,valid_until,rate,source\n";

    fn found(rates: &Rates, from: &str, to: &str, day: &str) -> Option<String> {
        let code = |text| CurrencyCode::read(text).expect("letters");
        let rate = rates.find(code(from), code(to), day.parse().expect("day"))?;
        Some(rate.convert(Decimal::from(100)).expect("fits").to_string())
    }

    #[test]
    fn the_row_that_began_last_counts_and_an_inverse_only_without_a_direct_one() {
        let table = format!(
            "{HEADER}EUR,GBP,2026-11-01,2026-11-30,0.88,HMRC\nEUR,GBP,2026-11-20,2026-11-20,0.5,HMRC\n\
             GBP,EUR,2026-12-01,,1.25,ECB\nUSD,GBP,2026-01-01,,0.75,HMRC\n"
        );
        let rates = Rates::read("rates.csv", table.as_bytes()).expect("reads");
        for (from, to, day, expected) in [
            ("EUR", "GBP", "2026-10-31", None),
            ("EUR", "GBP", "2026-11-01", Some("88")),
            ("EUR", "GBP", "2026-11-20", Some("50")),
            ("EUR", "GBP", "2026-11-21", Some("88")),
            ("EUR", "GBP", "2026-11-30", Some("88")),
            // The direct row has ended; the inverse of the other stands in.
            ("EUR", "GBP", "2026-12-01", Some("80")),
            ("GBP", "EUR", "2026-12-01", Some("125")),
            ("GBP", "USD", "2026-11-20", Some("133.33333333333333333333333333")),
            // No cross rates.
            ("EUR", "USD", "2026-11-20", None),
        ] {
            assert_eq!(found(&rates, from, to, day).as_deref(), expected, "{from} {to} {day}");
        }
    }

    #[test]
    fn every_fault_of_a_table_is_told_with_its_line() {
        let table = format!(
            "{HEADER}EUR,GBP,2026-11-01,,0.88,x\nEUR,GPB,2026-11-01,,0.88,x\nEUR,EUR,2026-11-01,,1,x\nEUR,USD,1.11.2026,,1.1,x\n\
             EUR,USD,2026-11-02,2026-11-01,1.1,x\nEUR,USD,2026-11-01,,\"1,1\",x\nEUR,USD,2026-11-01,,0,x\nEUR,USD\nEUR,GBP,2026-11-01,,0.89,y\n\
             EUR,USD,2026-11-01,soon,1e3,x\n"
        );
        let faults = Rates::read("rates.csv", table.as_bytes()).expect_err("faults");
        let told: Vec<(u32, &str)> = faults.iter().map(|fault| (fault.line, fault.message.split(' ').next().unwrap_or_default())).collect();
        let expected = [
            (3, "to"),
            (4, "from"),
            (5, "valid_from"),
            (6, "valid_until"),
            (7, "rate"),
            (8, "rate"),
            (9, "each"),
            (10, "there"),
            (11, "valid_until"),
            (11, "rate"),
        ];
        assert_eq!(told, expected, "{faults:#?}");
        assert!(!faults.iter().any(|fault| fault.message.contains("GPB") || fault.message.contains("soon")));
        assert!(Rates::read("rates.csv", b"from,to,rate\n").is_err());
    }
}
