//! A flat table to declarations: pure over bytes, no network, no clock.
//!
//! Why it exists: posts' branch offices and small systems export tables, not JSON. The rules stand in `examples/README.md`:
//! a column is named by the path of its field, `line.` columns belong to the contents line of their row, consecutive rows
//! with the same item and posting date make one declaration, an empty cell is an absent field.
//!
//! Invariants:
//! - every column is looked up in the declaration's own description: what is no field is a fault before anything is sent;
//! - a cell is carried as it stands: nothing is trimmed, rounded or guessed; only the whole-number fields become numbers;
//! - faults name row and column and never repeat a cell; one faulty declaration spoils no other.

mod line_ends;

use std::collections::HashSet;
use std::io::Read;

use csv::ByteRecord;
use serde_json::{Map, Value};

use line_ends::LineEnds;

use crate::domain::declaration::{Declaration, Line};
use crate::domain::record::{Descriptor, Kind};

/// Most places in a list that a column can name.
const MAX_PLACES: usize = 100;
/// Most faults that are told of one table head or declaration.
const MAX_FAULTS: usize = 100;
/// Most bytes of one row.
const MAX_ROW_BYTES: usize = 1 << 20;
/// Most rows of one declaration; an item has at most 999 lines.
const MAX_ROWS: usize = 1_000;

/// What is wrong at one place of a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct CsvFault {
    /// Line of the file in which the row begins, from 1.
    pub row: u64,
    /// The column's name in the first row; none when it is the row as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is allowed or what to do.
    pub detail: String,
}

impl CsvFault {
    fn new(row: u64, column: Option<&str>, detail: impl Into<String>) -> Self {
        // The name is input, but it is the file's own first row; only its length and its control characters are tamed.
        let column = column.map(|name| name.chars().filter(|c| !c.is_control()).take(80).collect());
        Self { row, column, detail: detail.into() }
    }
}

impl std::fmt::Display for CsvFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.column {
            Some(column) => write!(f, "row {}, column {column}: {}", self.row, self.detail),
            None => write!(f, "row {}: {}", self.row, self.detail),
        }
    }
}

/// A declaration made of consecutive rows, or what is wrong with them.
#[derive(Debug)]
pub(super) struct Group {
    /// Line of the file in which its first row begins.
    pub row: u64,
    /// The item's number as it stands, where there is one.
    pub item_id: Option<String>,
    /// The declaration.
    pub declaration: Result<Value, Vec<CsvFault>>,
    /// Bytes of the file that have been read with it.
    pub read_bytes: u64,
}

/// How a cell becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Text,
    /// Digits only.
    Whole,
    /// A number where it is whole, else text: the declaration takes exact decimals as text.
    Quantity,
    Truth,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name(&'static str),
    Index(usize),
}

struct Column {
    name: String,
    path: Vec<Step>,
    cell: Cell,
    in_line: bool,
}

/// A row and the line of the file in which it begins.
struct Row {
    line: u64,
    cells: ByteRecord,
}

/// Reads declarations out of a table, one after the other.
pub(super) struct Table<R: Read> {
    reader: csv::Reader<LineEnds<R>>,
    columns: Vec<Column>,
    /// In the order of their paths, so that lists fill from the front.
    by_path: Vec<usize>,
    key: [usize; 2],
    held: Option<Row>,
    done: bool,
}

impl<R: Read> Table<R> {
    /// Reads the first row and finds the field of each column.
    ///
    /// # Errors
    /// Every column that is no field or stands there twice, and what is required and absent.
    pub(super) fn open(input: R) -> Result<Self, Vec<CsvFault>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(LineEnds::new(input));
        let mut head = ByteRecord::new();
        match reader.read_byte_record(&mut head) {
            Ok(true) => {}
            Ok(false) => return Err(vec![CsvFault::new(1, None, "the file is empty; its first row names the columns")]),
            Err(_) => return Err(vec![CsvFault::new(1, None, "the file cannot be read")]),
        }
        let (columns, mut faults) = columns(&head);
        let place = |name: &str| columns.iter().position(|column| column.name == name);
        let key = [place("item_id"), place("posted_on")];
        for (found, name) in key.iter().zip(["item_id", "posted_on"]) {
            if found.is_none() {
                faults.push(CsvFault::new(1, None, format!("the column {name} is required")));
            }
        }
        if !columns.iter().any(|column| column.in_line) {
            faults.push(CsvFault::new(1, None, "at least one column of the contents is required, for example line.description"));
        }
        let ([Some(item), Some(posted)], true) = (key, faults.is_empty()) else {
            faults.truncate(MAX_FAULTS);
            return Err(faults);
        };
        let mut by_path: Vec<usize> = (0..columns.len()).collect();
        by_path.sort_by(|a, b| columns[*a].path.cmp(&columns[*b].path));
        Ok(Self { reader, columns, by_path, key: [item, posted], held: None, done: false })
    }

    /// The next row that is not blank; `Err` when the file cannot be read further.
    fn row(&mut self) -> Result<Option<Row>, ()> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        let mut cells = ByteRecord::new();
        match self.reader.read_byte_record(&mut cells) {
            Ok(true) => {
                let inside = cells.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
                Ok(Some(Row { line: self.reader.position().line().saturating_sub(1 + inside).max(1), cells }))
            }
            Ok(false) => Ok(None),
            Err(_) => Err(()),
        }
    }

    fn same_item(&self, a: &Row, b: &Row) -> bool {
        self.key.iter().all(|at| a.cells.get(*at).unwrap_or_default() == b.cells.get(*at).unwrap_or_default())
    }

    /// The cells of a row that are filled, as values at their columns.
    fn values(&self, row: &Row, faults: &mut Vec<CsvFault>) -> Vec<(usize, Value)> {
        let (line, row) = (row.line, &row.cells);
        if row.as_slice().len() > MAX_ROW_BYTES {
            faults.push(CsvFault::new(line, None, format!("a row has at most {MAX_ROW_BYTES} bytes; is a closing quote missing?")));
            return Vec::new();
        }
        if row.len() != self.columns.len() {
            let detail = format!("it has {} cells, the first row names {} columns", row.len(), self.columns.len());
            faults.push(CsvFault::new(line, None, detail));
            return Vec::new();
        }
        let mut values = Vec::new();
        for at in &self.by_path {
            let (column, cell) = (&self.columns[*at], row.get(*at).unwrap_or_default());
            if cell.is_empty() {
                continue;
            }
            match value_of(column.cell, cell) {
                Ok(value) => values.push((*at, value)),
                Err(detail) => faults.push(CsvFault::new(line, Some(&column.name), detail)),
            }
        }
        values
    }

    /// Makes one declaration of its rows.
    fn declaration(&self, rows: &[Row]) -> Result<Value, Vec<CsvFault>> {
        let mut faults = Vec::new();
        let mut declaration = Value::Object(Map::new());
        let mut contents = Vec::new();
        let first = rows.first();
        for (index, row) in rows.iter().enumerate() {
            let values = self.values(row, &mut faults);
            let mut entry = Value::Object(Map::new());
            for (at, value) in values {
                let column = &self.columns[at];
                let into = if column.in_line {
                    &mut entry
                } else if index == 0 {
                    &mut declaration
                } else {
                    if first.and_then(|first| first.cells.get(at)) != row.cells.get(at) {
                        let detail = "has to be empty or as in the first row of its declaration";
                        faults.push(CsvFault::new(row.line, Some(&column.name), detail));
                    }
                    continue;
                };
                if let Err(detail) = put(into, &column.path, value) {
                    faults.push(CsvFault::new(row.line, Some(&column.name), detail));
                }
            }
            let empty = entry.as_object().is_none_or(Map::is_empty);
            if !empty {
                contents.push(entry);
            } else if index > 0 && faults.is_empty() {
                faults.push(CsvFault::new(row.line, None, "no cell of the contents is filled"));
            }
        }
        if let (Value::Object(members), false) = (&mut declaration, contents.is_empty()) {
            members.insert("contents".to_owned(), Value::Array(contents));
        }
        for at in self.key {
            if first.and_then(|first| first.cells.get(at)).is_none_or(<[u8]>::is_empty) {
                let row = first.map_or(1, |first| first.line);
                faults.push(CsvFault::new(row, Some(&self.columns[at].name), "has to be given in each row"));
            }
        }
        faults.truncate(MAX_FAULTS);
        if faults.is_empty() { Ok(declaration) } else { Err(faults) }
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        if self.done {
            return None;
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut broken = false;
        let mut too_many = false;
        loop {
            match self.row() {
                Ok(Some(row)) if rows.first().is_none_or(|first| self.same_item(first, &row)) => {
                    if rows.len() < MAX_ROWS {
                        rows.push(row)
                    } else {
                        too_many = true
                    }
                }
                Ok(Some(row)) => {
                    self.held = Some(row);
                    break;
                }
                Ok(None) => {
                    self.done = true;
                    break;
                }
                Err(()) => {
                    (self.done, broken) = (true, true);
                    break;
                }
            }
        }
        let position = self.reader.position();
        if rows.is_empty() && !broken {
            return None;
        }
        let row = rows.first().map_or(position.line(), |first| first.line);
        let declaration = if broken {
            Err(vec![CsvFault::new(position.line(), None, "the file cannot be read further")])
        } else if too_many {
            Err(vec![CsvFault::new(row, None, format!("a declaration has at most {MAX_ROWS} rows"))])
        } else {
            self.declaration(&rows)
        };
        let item = rows.first().and_then(|first| first.cells.get(self.key[0])).and_then(|cell| std::str::from_utf8(cell).ok());
        let item_id = item.filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Group { row, item_id, declaration, read_bytes: position.byte() })
    }
}

/// The columns of the first row, and what is wrong with their names.
fn columns(head: &ByteRecord) -> (Vec<Column>, Vec<CsvFault>) {
    let (mut columns, mut faults, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, cell) in head.iter().enumerate() {
        let Ok(name) = std::str::from_utf8(cell) else {
            faults.push(CsvFault::new(1, None, format!("the name of column {} is not UTF-8", index + 1)));
            continue;
        };
        if name.is_empty() {
            faults.push(CsvFault::new(1, None, format!("column {} has no name", index + 1)));
            continue;
        }
        if !seen.insert(name) {
            faults.push(CsvFault::new(1, Some(name), "this column is there twice"));
            continue;
        }
        let (in_line, found) = match name.strip_prefix("line.") {
            Some(rest) => (true, field(Line::DESCRIPTOR, rest)),
            None => (false, field(Declaration::DESCRIPTOR, name)),
        };
        match found {
            Ok((path, cell)) => columns.push(Column { name: name.to_owned(), path, cell, in_line }),
            Err(detail) => faults.push(CsvFault::new(1, Some(name), detail)),
        }
    }
    (columns, faults)
}

/// Finds the field that a path names.
fn field(root: &'static Descriptor, path: &str) -> Result<(Vec<Step>, Cell), String> {
    let mut kind = Kind::Record(root);
    let mut steps = Vec::new();
    for part in path.split('.') {
        kind = match kind {
            Kind::Record(descriptor) => {
                let (_, field) = descriptor.field(part).ok_or_else(|| no_field(part, descriptor))?;
                if descriptor.name == Declaration::DESCRIPTOR.name && field.name == "contents" {
                    return Err("the contents are given by columns that begin with line., one row each".to_owned());
                }
                steps.push(Step::Name(field.name));
                (field.kind)()
            }
            Kind::List(entry) => {
                let index = part.parse().ok().filter(|index| *index < MAX_PLACES && part.len() <= 2);
                steps.push(Step::Index(index.ok_or("a place in a list is a number from 0, as in references.0.value")?));
                entry()
            }
            _ => return Err("no such field: the one before the last point has none inside".to_owned()),
        };
    }
    let cell = match kind {
        Kind::Integer => Cell::Whole,
        Kind::Bool => Cell::Truth,
        Kind::Decimal if steps.last() == Some(&Step::Name("quantity")) => Cell::Quantity,
        Kind::Record(_) => return Err("this field has fields inside; name one of them".to_owned()),
        Kind::List(_) | Kind::Map(_) => return Err("this field is a list; name a place in it, counted from 0".to_owned()),
        _ => Cell::Text,
    };
    Ok((steps, cell))
}

fn no_field(part: &str, descriptor: &'static Descriptor) -> String {
    let near = |name: &str| strsim::jaro_winkler(part, name);
    let nearest = descriptor.fields.iter().map(|field| field.name).max_by(|a, b| near(a).total_cmp(&near(b)));
    match nearest.filter(|name| near(name) > 0.8) {
        Some(name) => format!("no such field; did you mean {name}?"),
        None => "no such field".to_owned(),
    }
}

fn value_of(kind: Cell, cell: &[u8]) -> Result<Value, &'static str> {
    let text = std::str::from_utf8(cell).map_err(|_| "the cell is not UTF-8; save the table as UTF-8")?;
    let whole = || (text.len() <= 13 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u64>().ok()).flatten();
    match kind {
        Cell::Text => Ok(Value::from(text)),
        Cell::Whole => whole().map(Value::from).ok_or("has to be a whole number, digits only"),
        Cell::Quantity => Ok(whole().map_or_else(|| Value::from(text), Value::from)),
        Cell::Truth => match text {
            "true" => Ok(Value::from(true)),
            "false" => Ok(Value::from(false)),
            _ => Err("has to be true or false"),
        },
    }
}

/// Puts a value at its path. Columns come in the order of their paths, so a list that is too short has a gap.
fn put(into: &mut Value, path: &[Step], value: Value) -> Result<(), &'static str> {
    let Some((step, rest)) = path.split_first() else {
        *into = value;
        return Ok(());
    };
    let inside = match step {
        Step::Name(name) => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            into.as_object_mut().map(|members| members.entry(*name).or_insert(Value::Null))
        }
        Step::Index(index) => {
            if !into.is_array() {
                *into = Value::Array(Vec::new());
            }
            let list = into.as_array_mut();
            match list {
                Some(list) if list.len() < *index => return Err("a list has no gaps: fill its earlier places first"),
                Some(list) => {
                    if list.len() == *index {
                        list.push(Value::Null);
                    }
                    list.get_mut(*index)
                }
                None => None,
            }
        }
    };
    inside.map_or(Ok(()), |inside| put(inside, rest, value))
}

#[cfg(test)]
mod tests;
