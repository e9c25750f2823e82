use serde_json::json;

use super::*;
use crate::domain::record::{FieldType, Reader};

fn groups(text: &str) -> Vec<Group> {
    match Table::open(text.as_bytes()) {
        Ok(table) => table.collect(),
        Err(faults) => panic!("{faults:?}"),
    }
}

fn told(faults: &[CsvFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn rows_become_declarations() {
    let text = "\u{feff}line.quantity,item_id,posted_on,sender.street.1,sender.street.0,gross_weight_g,line.value.amount,documents.0.lines.0,line.hs_code\r\n\
        2,A,2026-11-20,second,\"first, with comma\",840,24.00,1,061091\r\n\
        1.5,A,2026-11-20,,,840,7,,\r\n\
        3,A,2026-11-21,, only ,5,,,\r\n\
        4,B,2026-11-21,,,,,,\r\n";
    let found: Vec<_> = groups(text).into_iter().map(|group| (group.row, group.declaration.expect("good"))).collect();
    let expected = [
        (
            2,
            json!({ "item_id": "A", "posted_on": "2026-11-20", "gross_weight_g": 840, "sender": { "street": ["first, with comma", "second"] },
            "documents": [{ "lines": [1] }],
            "contents": [{ "quantity": 2, "value": { "amount": "24.00" }, "hs_code": "061091" }, { "quantity": "1.5", "value": { "amount": "7" } }] }),
        ),
        (
            4,
            json!({ "item_id": "A", "posted_on": "2026-11-21", "gross_weight_g": 5, "sender": { "street": [" only "] }, "contents": [{ "quantity": 3 }] }),
        ),
        (5, json!({ "item_id": "B", "posted_on": "2026-11-21", "contents": [{ "quantity": 4 }] })),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_example_is_read_without_a_fault() {
    let text = include_str!("../../../../examples/declarations.csv");
    let found = groups(text);
    let lines: Vec<_> =
        found.iter().map(|group| group.declaration.as_ref().expect("good")["contents"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(lines, [3, 2, 2, 2, 1]);
    for group in found {
        let text = group.declaration.expect("good").to_string();
        let mut reader = Reader::default();
        <Declaration as FieldType>::read(&crate::domain::json::parse(text.as_bytes()).expect("JSON"), &mut reader);
        let (faults, _) = reader.finish();
        assert!(faults.is_empty(), "row {}: {:?}", group.row, faults.into_vec());
    }
}

#[test]
fn a_head_tells_all_its_faults() {
    let table = [
        ("", vec!["row 1: the file is empty"]),
        ("posted_on,line.quantity\n", vec!["row 1: the column item_id is required"]),
        ("item_id,posted_on\n", vec!["row 1: at least one column of the contents"]),
        (
            "item_id,posted_on,line.x,item_id\n",
            vec!["column line.x: no such field", "column item_id: this column is there twice", "at least one column of the contents"],
        ),
        ("item_id,posted_on,line.quantity,sendr.name\n", vec!["column sendr.name: no such field; did you mean sender?"]),
        ("item_id,posted_on,line.quantity,sender\n", vec!["column sender: this field has fields inside"]),
        ("item_id,posted_on,line.quantity,sender.street\n", vec!["column sender.street: this field is a list"]),
        ("item_id,posted_on,line.quantity,sender.street.x\n", vec!["column sender.street.x: a place in a list"]),
        ("item_id,posted_on,line.quantity,sender.street.100\n", vec!["column sender.street.100: a place in a list"]),
        ("item_id,posted_on,line.quantity,item_id.x\n", vec!["column item_id.x: no such field"]),
        ("item_id,posted_on,line.quantity,contents.0.quantity\n", vec!["column contents.0.quantity: the contents are given by"]),
        ("item_id,posted_on,line.quantity,\n", vec!["row 1: column 4 has no name"]),
    ];
    for (text, expected) in table {
        let faults = told(&Table::open(text.as_bytes()).err().expect(text));
        assert_eq!(faults.len(), expected.len(), "{text}: {faults:?}");
        for (fault, words) in faults.iter().zip(expected) {
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }
}

#[test]
fn rows_tell_all_their_faults_and_spoil_no_others() {
    let head = "item_id,posted_on,gross_weight_g,references.0.value,references.1.value,line.quantity,line.net_weight_g,sender.name\n";
    let table: [(&[u8], &[&str]); 9] = [
        (b"A,d,1.5,,,1,2 g,\n", &["row 2, column gross_weight_g: has to be a whole", "row 2, column line.net_weight_g: has to be a whole"]),
        (b"A,d,1,,second,1,,\n", &["row 2, column references.1.value: a list has no gaps"]),
        (b"A,d,1,,,1,,X\nA,d,,,,2,,X\nA,d,,,,3,,Y\n", &["row 4, column sender.name: has to be empty or as in the first"]),
        (b"A,d,,,,1,,\nA,d,5,,,2,,\n", &["row 3, column gross_weight_g: has to be empty or as in the first"]),
        (b"A,d,1,,,1,\n", &["row 2: it has 7 cells, the first row names 8 columns"]),
        (b"A,d,1,,,1,,\nA,d,1,,,,,\n", &["row 3: no cell of the contents is filled"]),
        (b",d,1,,,1,,\n", &["row 2, column item_id: has to be given"]),
        (b"A,,1,,,1,,\n", &["row 2, column posted_on: has to be given"]),
        (b"A,d,1,,,1,,\xff\n", &["row 2, column sender.name: the cell is not UTF-8"]),
    ];
    for (rows, expected) in table {
        let text = [head.as_bytes(), rows, b"GOOD,d,1,,,1,,\n"].concat();
        let shown = String::from_utf8_lossy(rows).into_owned();
        let Ok(table) = Table::open(text.as_slice()) else { panic!("a good head") };
        let groups: Vec<_> = table.collect();
        assert_eq!(groups.len(), 2, "{shown}");
        let faults = told(groups[0].declaration.as_ref().expect_err(&shown));
        assert_eq!(faults.len(), expected.len(), "{shown}: {faults:?}");
        for (fault, words) in faults.iter().zip(expected) {
            assert!(fault.starts_with(words), "{shown}: {fault}");
        }
        assert_eq!(groups[1].item_id.as_deref(), Some("GOOD"));
        assert!(groups[1].declaration.is_ok(), "{shown}");
    }
}

#[test]
fn a_declaration_without_contents_and_a_quoted_line_end() {
    let text = "item_id,posted_on,category_explanation,line.description\nA,d,\"two\nlines\",\nB,d,,goods\n";
    let found: Vec<_> = groups(text).into_iter().map(|group| (group.row, group.declaration.expect("good"))).collect();
    assert_eq!(
        found,
        [
            (2, json!({ "item_id": "A", "posted_on": "d", "category_explanation": "two\nlines" })),
            (4, json!({ "item_id": "B", "posted_on": "d", "contents": [{ "description": "goods" }] })),
        ]
    );
}
