//! A template of any bytes compiles or tells its faults; what compiles renders or tells faults.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|template: &[u8]| {
    match preclear_fuzz::compile(template) {
        Ok(mapping) => preclear_fuzz::render_twice(&mapping),
        Err(faults) => preclear_fuzz::inside(&faults, template),
    }
});
