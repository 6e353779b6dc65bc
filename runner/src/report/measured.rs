// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cases measured (`measure`): a chart by backend for each of them, and what changed from one run to another.

use std::io;

use crate::event::Measured;
use crate::report::run::{Case, Run};

/// One thing that was measured, on each backend.
pub struct Chart {
    /// The scenario with its device.
    pub group: String,
    /// The case, and what it calls the measurement.
    pub name: String,
    pub bars: Vec<Bar>,
}

pub struct Bar {
    pub backend: String,
    pub measured: Measured,
    /// Its length in percent of the longest: throughput if it is known, otherwise time.
    pub percent: u32,
}

/// All that was measured, in the order of the cases.
pub fn charts(run: &Run) -> io::Result<Vec<Chart>> {
    let mut charts: Vec<Chart> = Vec::new();
    for case in run.cases.iter().filter(|case| case.measured) {
        let suite = run.suite(case);
        let label = run.environment(case).label.as_str();
        let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
        let group = format!("{label}{}.{} on {}", suite.pack, suite.scenario, suite.device);
        for measured in rounds(run, case)? {
            let name = format!("{}: {}", case.name, measured.what);
            let bar = Bar { backend: suite.backend.to_string(), measured, percent: 0 };
            match charts.iter_mut().find(|chart| (&chart.group, &chart.name) == (&group, &name)) {
                Some(chart) => chart.bars.push(bar),
                None => charts.push(Chart { group: group.clone(), name, bars: vec![bar] }),
            }
        }
    }
    for chart in &mut charts {
        let length = |bar: &Bar| bar.measured.throughput().unwrap_or_else(|| bar.measured.median());
        let longest = chart.bars.iter().map(length).max().unwrap_or(0).max(1);
        for bar in &mut chart.bars {
            let percent = u128::from(length(bar)) * 100 / u128::from(longest);
            bar.percent = u32::try_from(percent).unwrap_or(100).max(1);
        }
    }
    Ok(charts)
}

/// What two runs measured of one case: the name, and both measurements.
pub fn pairs(a: (&Run, &Case), b: (&Run, &Case)) -> io::Result<Vec<(Measured, Measured)>> {
    let before = rounds(a.0, a.1)?;
    let both = rounds(b.0, b.1)?.into_iter().filter_map(|new| {
        let old = before.iter().find(|old| old.what == new.what)?;
        Some((old.clone(), new))
    });
    Ok(both.collect())
}

fn rounds(run: &Run, case: &Case) -> io::Result<Vec<Measured>> {
    if !case.measured {
        return Ok(Vec::new());
    }
    let measured = run.full(case)?.result.measured.into_iter();
    Ok(measured.filter(|measured| measured.rounds).collect())
}

/// `120 us, 16666 MiB/s`
pub fn shown(measured: &Measured) -> String {
    let time = format!("{} us", measured.median());
    match measured.throughput() {
        Some(throughput) => format!("{time}, {}", per_second(throughput)),
        None => time,
    }
}

fn per_second(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB/s", bytes >> 10),
        _ => format!("{} MiB/s", bytes >> 20),
    }
}

/// `2.80 times as long`
pub fn change(old: &Measured, new: &Measured) -> String {
    let hundredths = u128::from(new.median()) * 100 / u128::from(old.median().max(1));
    format!("{}.{:02} times as long", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CaseResult, Event};
    use crate::report::fixture::{finished, passed, planned, started};

    #[test]
    fn a_bar_is_as_long_as_its_throughput_or_its_time() {
        let of = |case: u32, backend: &str, memory: u64, page: u64| {
            let measured = [("map", memory, Some(1 << 20)), ("page", page, None)];
            let measured = measured.map(|(what, time, bytes)| Measured::each(what.to_owned(), vec![time], bytes));
            let result = CaseResult { measured: measured.to_vec(), ..passed(case) };
            [Event::CasePlanned(planned(case, "s", backend, "c")), Event::CaseFinished(result)]
        };
        let cases = [of(0, "vfio_type1_iommu", 100, 10), of(1, "iommufd", 400, 40)];
        let mut events = vec![started()];
        events.extend(cases.into_iter().flatten());
        events.push(finished(false));
        let charts = charts(&Run::from_events(events)).expect("readable");
        let bars = |chart: &Chart| chart.bars.iter().map(|bar| (bar.backend.clone(), bar.percent)).collect::<Vec<_>>();
        let named = |bars: [(&str, u32); 2]| bars.map(|(backend, percent)| (backend.to_owned(), percent)).to_vec();
        assert_eq!(charts.len(), 2);
        assert_eq!(
            (charts[0].name.as_str(), bars(&charts[0])),
            ("c: map", named([("vfio_type1_iommu", 100), ("iommufd", 25)]))
        );
        assert_eq!(
            (charts[1].name.as_str(), bars(&charts[1])),
            ("c: page", named([("vfio_type1_iommu", 25), ("iommufd", 100)]))
        );
        assert_eq!(shown(&charts[0].bars[0].measured), "100 us, 10000 MiB/s");
    }
}
