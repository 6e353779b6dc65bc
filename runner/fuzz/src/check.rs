// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a scenario and as a pack: read, checked, counted, planned, and what is wrong drawn in each way. What begins with `{{` is
//! an expression by itself, too. Nothing panics, hangs, or takes much memory, and no input takes a second of the processor's time: what
//! else runs on the machine does not count.
#![no_main]

use std::{cell::Cell, collections::BTreeMap, sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use nix::time::ClockId;
use vfiospec::{
    event::DeviceUsed,
    language::{Invalid, Packs, Scope, Size, Source, Template, eval, eval_as, json_lines, load, render, undeclared},
    plan,
};

const SLOW: Duration = Duration::from_secs(1);

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

/// Asks for an expression's names and its value in every way there is.
fn expression(text: &str) {
    let scope = Scope::new()
        .with("page", 2_u64 << 20)
        .with("backend", "iommufd")
        .with("ranges", vec![1, 5, 3])
        .with("m", BTreeMap::from([("iova", 0x10000_u64), ("size", 4096)]));
    let template = Template::new(text).and_then(|template| template.render(&scope));
    let errors = [
        undeclared(text).err(),
        eval(&scope, text).err(),
        eval_as::<Size>(&scope, text).err(),
        eval_as::<bool>(&scope, text).err(),
        template.err(),
    ];
    for error in errors.into_iter().flatten() {
        assert!(text.get(error.range.clone()).is_some(), "{error:?} is no place in {text:?}");
    }
}

fn file(bytes: &[u8]) {
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
            let mut count = plan::Count::default();
            count.add(&loaded);
            if count.distinct().is_none_or(|count| count < 1000) {
                let device = DeviceUsed { name: "edu".into(), ids: "1234:11e8".into(), ..DeviceUsed::default() };
                let _ = plan::expand(vec![loaded], Packs::default(), &[device], &[]);
            }
        }
        Err(invalid) => draw(&invalid),
    }
}

fuzz_target!(|bytes: &[u8]| {
    thread_local!(static SLOWEST: Cell<Duration> = Cell::new(Duration::from_millis(50)));
    let spent = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("every thread has this clock"));
    let before = spent();
    if bytes.starts_with(b"{{")
        && let Ok(text) = str::from_utf8(bytes)
    {
        expression(text);
    }
    file(bytes);
    let took = spent() - before;
    assert!(took < SLOW, "it took {took:?}");
    if took > SLOWEST.get() {
        SLOWEST.set(took);
        eprintln!("the slowest so far: {} ms", took.as_millis());
    }
});
