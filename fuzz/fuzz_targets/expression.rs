//! An expression of any characters, as a route's condition and in the braces of a template.
#![no_main]

use libfuzzer_sys::fuzz_target;
use preclear::mapping::{Condition, PostContext};

fuzz_target!(|expression: &str| {
    match Condition::compile(expression) {
        Ok(condition) => {
            condition.matches(preclear_fuzz::declaration(), PostContext { code: "KRA", name: "Korea Post" });
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a fault");
            let columns = expression.chars().count() + 1;
            assert!(faults.iter().all(|fault| fault.column as usize <= columns), "{faults:?}");
        }
    }
    // As it would stand in the file: what has a meaning in XML is written as a reference.
    let text = expression.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let template = format!("<A>{{{text}}}</A>");
    match preclear_fuzz::compile(template.as_bytes()) {
        Ok(mapping) => preclear_fuzz::render_twice(&mapping),
        Err(faults) => preclear_fuzz::inside(&faults, template.as_bytes()),
    }
});
