//! How the ops lists and answers are looked at: by what an operator must find in them, not by their exact shape.

use serde_json::Value;

/// The rows of a list: the answer itself, or its one array member.
pub fn rows(answer: &Value) -> &[Value] {
    answer
        .as_array()
        .or_else(|| answer.as_object().and_then(|object| object.values().find_map(Value::as_array)))
        .map(Vec::as_slice)
        .unwrap_or_else(|| panic!("no list in {answer}"))
}

/// The row that names something in any of its direct members.
pub fn row<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    rows(answer).iter().find(|row| row.as_object().is_some_and(|row| row.values().any(|value| value == name)))
}

/// The values of all references of a kind, in the filings of a declaration.
pub fn references(declaration: &Value, kind: &str) -> Vec<String> {
    let filings = declaration["filings"].as_array().cloned().unwrap_or_default();
    filings
        .iter()
        .flat_map(|filing| filing["references"].as_array().cloned().unwrap_or_default())
        .filter(|reference| reference["type"] == kind)
        .map(|reference| reference["value"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The JSON pointers of a problem's errors.
pub fn pointers(problem: &Value) -> Vec<String> {
    problem["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("no errors in {problem}"))
        .iter()
        .map(|error| error["pointer"].as_str().unwrap_or_default().to_owned())
        .collect()
}
