//! Any bytes as a scenario: read, checked, counted, and drawn in each way. Nothing panics, hangs, or takes much memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vfiospec::{
    language::{Packs, Source, json_lines, load, render},
    plan,
};

fuzz_target!(|bytes: &[u8]| {
    let source = match Source::from_bytes("fuzz.yaml", bytes.to_vec()) {
        Ok(source) => source,
        Err(wrong) => {
            render(&wrong.0, &[wrong.1.clone()], false);
            wrong.0
        }
    };
    match load(source, "pack".to_owned(), &Packs::default(), &[]) {
        Ok(loaded) => {
            // Planned, too, unless that is a great many cases.
            if plan::count_distinct(std::slice::from_ref(&loaded)).is_none_or(|count| count < 1000) {
                let _ = plan::expand(vec![loaded], &["any".to_owned()], &[]);
            }
        }
        Err(invalid) => {
            let drawn = invalid.render(false);
            assert!(!drawn.is_empty() && !drawn.chars().any(|c| c.is_control() && c != '\n'));
            json_lines(&invalid.source, &invalid.diagnostics);
        }
    }
});
