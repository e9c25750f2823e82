//! Code lists as data: `codes/*.csv` with the columns `key`, `value` and, for readers, `meaning`.

use std::collections::HashMap;

use super::faults::{FileFaults, MappingFault};

/// Most rows of one list.
pub const MAX_ROWS: usize = 50_000;

/// A code list.
#[derive(Debug)]
pub struct CodeList {
    /// Its name: the file's, without `.csv`.
    pub name: String,
    keys: Vec<String>,
    rows: HashMap<String, String>,
}

impl CodeList {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.rows.get(key).map(String::as_str)
    }

    /// The keys in the order of the file.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Reads a list, as far as it can be read, with every fault of the file; faults name their row's line.
    pub fn read(name: &str, file: &str, bytes: &[u8]) -> (Self, Vec<MappingFault>) {
        let text = String::from_utf8_lossy(bytes);
        let mut faults = FileFaults::new(file, &text);
        let mut list = Self { name: name.to_owned(), keys: Vec::new(), rows: HashMap::new() };
        if std::str::from_utf8(bytes).is_err() {
            faults.at_line(1, "the file has to be UTF-8");
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().map(|row| row.iter().map(str::to_owned).collect()).unwrap_or_default();
        if !matches!(header.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), ["key", "value"] | ["key", "value", "meaning"]) {
            faults.at_line(1, "the first line has to be: key,value,meaning");
            return (list, faults.into_vec());
        }
        for row in reader.records() {
            match row {
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    faults.at_line(u32::try_from(line).unwrap_or(0), "each row needs as many columns as the first line");
                }
                Ok(row) => {
                    let line = row.position().map_or(0, csv::Position::line);
                    list.add(&row, u32::try_from(line).unwrap_or(0), &mut faults);
                }
            }
            if list.keys.len() > MAX_ROWS {
                faults.at_line(0, format!("at most {MAX_ROWS} rows"));
                break;
            }
        }
        (list, faults.into_vec())
    }

    fn add(&mut self, row: &csv::StringRecord, line: u32, faults: &mut FileFaults<'_>) {
        let (key, value) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
        if key.is_empty() {
            faults.at_line(line, "the key is empty");
        } else if !value.chars().all(crate::domain::text::is_xml_character) {
            faults.at_line(line, "the value has a character that no XML message can carry");
        } else if self.rows.insert(key.to_owned(), value.to_owned()).is_some() {
            faults.at_line(line, format!("the key {key:?} stands twice"));
        } else {
            self.keys.push(key.to_owned());
        }
    }
}
