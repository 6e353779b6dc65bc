//! Any bytes as a scenario and as a pack: read, checked, counted, planned, and what is wrong drawn in each way. Nothing panics, hangs,
//! or takes much memory.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vfiospec::{
    event::DeviceUsed,
    language::{Invalid, Packs, Source, json_lines, load, render},
    plan,
};

/// A pack with procedures, so that calls have something to call.
static EDU: LazyLock<Packs> = LazyLock::new(|| {
    let text = include_str!("../../../scenarios/vendor/qemu-edu/pack.yaml");
    let mut packs = Packs::default();
    assert!(packs.add(Source::new("pack.yaml".to_owned(), text.to_owned())).is_ok(), "a pack of ours is right");
    packs
});

fn draw(invalid: &Invalid) {
    let drawn = invalid.render(false);
    assert!(!drawn.is_empty() && !drawn.chars().any(|c| c.is_control() && c != '\n'));
    json_lines(&invalid.source, &invalid.diagnostics);
}

fuzz_target!(|bytes: &[u8]| {
    let source = match Source::from_bytes("fuzz.yaml", bytes.to_vec()) {
        Ok(source) => source,
        Err(wrong) => {
            render(&wrong.0, &[wrong.1.clone()], false);
            wrong.0
        }
    };
    if bytes.windows(12).any(|window| window == b"\nprocedures:" || window == b"\ndevices:\n  ") {
        if let Err(invalid) = Packs::default().add(source.clone()) {
            draw(&invalid);
        }
    }
    match load(source, "pack".to_owned(), &EDU, &[]) {
        Ok(loaded) => {
            // Planned, too, unless that is a great many cases.
            if plan::count_distinct(std::slice::from_ref(&loaded)).is_none_or(|count| count < 1000) {
                let device = DeviceUsed { name: "edu".into(), ids: "1234:11e8".into(), ..DeviceUsed::default() };
                let _ = plan::expand(vec![loaded], Packs::default(), &[device], &[]);
            }
        }
        Err(invalid) => draw(&invalid),
    }
});
