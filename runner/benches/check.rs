// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long it takes to check scenarios, beside only parsing them as YAML: `cargo bench --bench check`.
//!
//! The files have ten cases each, half in the short form and half with steps, each with a matrix of two values on all five backends:
//! a hundred cases of a run for each file. Their expressions differ from file to file, so that nothing is gained by remembering them.
//! Neither keeps what it has read; nor does `vfiospec check`.

use std::{fmt::Write, hint::black_box, time::Duration};

use nix::time::ClockId;
use vfiospec::{
    language::{Packs, Source, load},
    plan,
};

/// Each measurement is the best of so many.
const ROUNDS: usize = 5;

fn main() {
    println!(
        "{:>6}  {:>9}  {:>12}  {:>12}  {:>6}  {:>14}",
        "files", "MiB", "parse (ms)", "check (ms)", "ratio", "check per file"
    );
    for count in [250, 500, 1000, 2000] {
        let texts: Vec<String> = (0..count).map(file).collect();
        let bytes: usize = texts.iter().map(String::len).sum();
        let parse = best(|| {
            for text in &texts {
                black_box(serde_yaml::from_str::<serde_yaml::Value>(text).expect("YAML"));
            }
        });
        let check = best(|| {
            let mut cases = plan::Count::default();
            for (index, text) in texts.iter().enumerate() {
                let source = Source::new(format!("{index}.yaml"), text.as_str());
                let loaded = load(source, "pack".to_owned(), &Packs::default(), &[]);
                cases.add(&loaded.unwrap_or_else(|invalid| panic!("{}", invalid.render(false))));
            }
            assert_eq!(cases.distinct(), Some(100 * count));
        });
        println!(
            "{count:>6}  {:>9.1}  {:>12.1}  {:>12.1}  {:>6.2}  {:>11.1} µs",
            bytes as f64 / f64::from(1 << 20),
            parse / 1e6,
            check / 1e6,
            check / parse,
            check / 1e3 / count as f64
        );
    }
}

/// Nanoseconds on a processor: what else runs on the machine does not count.
fn best(run: impl Fn()) -> f64 {
    let spent = || -> f64 {
        let spent = ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("every thread has this clock");
        Duration::from(spent).as_nanos() as f64
    };
    let once = |_| {
        let before = spent();
        run();
        spent() - before
    };
    (0..ROUNDS).map(once).fold(f64::INFINITY, f64::min)
}

fn file(index: usize) -> String {
    let mut text = format!("name: s{index}\nsummary: A scenario of a benchmark.\nbackends: all\ncases:\n");
    for case in 0..10 {
        let number = index + case + 2;
        let lines = match case % 2 {
            0 => format!(
                r#"  - name: map_unmap_{case}
    summary: Map a region, look at its pages and unmap it.
    matrix: {{ page: [4KiB, 2MiB] }}
    region: {{ memory: anonymous, page: "{{{{ page }}}}", size: "{{{{ {number} * page }}}}" }}
    expect:
      map: ok
      pagesize: {{ iommufd_compat_type1: 4KiB, "*": "{{{{ page }}}}" }}
      unmap: {{ bytes: "{{{{ {number} * page }}}}" }}
    covers: [vfio_dma_mapping_test.dma_map_unmap]
"#
            ),
            _ => format!(
                r#"  - name: middle_{case}
    matrix: {{ pages: [4, 8] }}
    regions: {{ buffer: {{ memory: anonymous, size: "{{{{ pages * 4 * KiB }}}}" }} }}
    steps:
      - map: {{ region: buffer }}
        save: m
      - unmap: {{ iova: "{{{{ m.iova + {number} * KiB }}}}", size: 4KiB }}
        expect:
          vfio_type1_iommu:     {{ bytes: 0 }}
          vfio_type1v2_iommu:   EINVAL
          iommufd_compat_type1: {{ bytes: 4KiB }}
          "*":                  ENOENT
      - check: "{{{{ m.iova % page_size == 0 }}}}"
"#
            ),
        };
        text.write_str(&lines).expect("memory takes all");
    }
    text
}
