// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing is lost: what a run leaves behind when a case, a worker, a guest or the run itself dies.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    NotTested, Test, Tested,
    common::{command, expect, folder},
    guests::{Ran, events, lab, lab_run, place, results},
    tests,
};
use nix::sys::signal::{Signal, kill};
use vfiospec::{
    event::{CaseResult, Event},
    model::Verdict,
    report::{Full, Run, State, read_file},
};

pub const TESTS: &[Test] = tests![
    a_guest_that_dies_from_within_a_case_loses_no_result_and_blames_that_case,
    guests_that_share_a_run_lose_no_result_when_one_of_them_dies,
    guests_that_keep_dying_are_given_up_and_what_was_not_run_says_why,
    a_guest_that_hangs_or_is_killed_costs_the_case_in_flight_and_no_result,
    a_worker_that_crashes_starves_spins_or_hangs_costs_its_case_and_no_other,
    a_flake_is_shown_as_a_flake_and_a_repeated_case_fails_if_it_fails_once,
    the_first_failure_can_be_the_last_and_what_failed_can_run_again_alone,
    a_failure_can_be_looked_at_in_the_guest_as_the_case_left_it,
    a_run_that_is_killed_at_any_moment_loses_nothing_and_goes_on_to_the_same_result,
    an_interrupted_run_ends_in_good_order_and_goes_on,
    a_run_that_is_interrupted_while_its_guest_boots_leaves_the_results_of_the_run_before,
    a_second_interrupt_ends_the_run_at_once_and_the_journal_holds,
    after_a_reboot_the_case_that_took_the_host_down_is_blamed_and_runs_again_only_if_asked,
    a_run_does_not_go_on_with_other_scenarios_or_another_selection,
];

/// A scenario file in a pack of its own.
fn scenario(name: &str, text: &str) -> String {
    let pack = folder(name).join(name.replace('-', "_"));
    fs::create_dir_all(&pack).unwrap();
    let file = pack.join("scenario.yaml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// A case that passes, with more keys if wanted.
fn fine(name: &str, more: &str) -> String {
    format!("  - name: {name}\n    region: {{ memory: anonymous, size: 4KiB }}\n    expect: {{ map: ok }}\n{more}")
}

/// A case that breaks something.
fn breaks(name: &str, fault: &str) -> String {
    format!("  - name: {name}\n    steps: [{{ lab_fault: {fault} }}]\n")
}

#[track_caller]
fn verdict(results: &BTreeMap<String, serde_json::Value>, case: &str, verdict: &str, words: &[&str]) {
    let result = &results[case];
    assert_eq!(result["verdict"], verdict, "{result:#}");
    let message = result["message"].as_str().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
}

/// What the guest wrote to its console while a case ran.
fn console(result: &serde_json::Value) -> String {
    let lines = result["console"].as_array().into_iter().flatten().filter_map(|line| line.as_str());
    lines.collect::<Vec<_>>().join("\n")
}

/// How many failures, errors and skips the JUnit file has.
fn junit(ran: &Ran) -> [usize; 3] {
    let xml = ran.junit();
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    ["failure", "error", "skipped"].map(|tag| document.descendants().filter(|node| node.has_tag_name(tag)).count())
}

fn a_guest_that_dies_from_within_a_case_loses_no_result_and_blames_that_case() -> Tested {
    let text = ["name: dies\nbackends: [iommufd]\ncases:\n".to_owned()]
        .into_iter()
        .chain([
            fine("first", ""),
            breaks("panics", "panic"),
            fine("second", ""),
            breaks("vanishes", "reboot"),
            fine("third", ""),
        ])
        .collect::<String>();
    let ran = lab_run("dies-run", &[&scenario("dies", &text)])?;
    ran.expect(3);
    let results = results(&ran);
    for case in ["first", "second", "third"] {
        verdict(&results, case, "passed", &[]);
    }
    verdict(&results, "panics", "error", &["the guest died while this case ran: Kernel panic - not syncing: sysrq"]);
    assert!(results["panics"]["detail"].as_str().unwrap().contains("Call Trace"), "{:#}", results["panics"]);
    assert!(console(&results["panics"]).contains("Call Trace"), "{:#}", results["panics"]);
    verdict(&results, "vanishes", "error", &["the guest died while this case ran"]);
    assert_eq!(junit(&ran), [0, 2, 0], "{}", ran.junit());
    assert_eq!(ran.stderr().matches("lab: the guest died; a fresh one runs").count(), 2, "{}", ran.stderr());
    for told_once in ["run_started", "run_finished"] {
        assert_eq!(events(&ran, told_once).len(), 1, "{told_once}");
    }
    Ok(())
}

fn guests_that_share_a_run_lose_no_result_when_one_of_them_dies() -> Tested {
    let mut text = "name: shared\nbackends: [iommufd]\ncases:\n".to_owned();
    text += &breaks("panics", "panic");
    for number in 0..6 {
        text += &fine(&format!("fine_{number}"), "");
    }
    let ran = lab_run("shared-run", &["--guests", "2", &scenario("shared", &text)])?;
    ran.expect(3);
    let results = results(&ran);
    verdict(&results, "panics", "error", &["the guest died while this case ran: Kernel panic - not syncing: sysrq"]);
    for number in 0..6 {
        verdict(&results, &format!("fine_{number}"), "passed", &[]);
    }
    assert!(!ran.stderr().contains("waiting for another vfiospec"), "{}", ran.stderr());
    let [started] = &events(&ran, "run_started")[..] else { panic!("{}", ran.stderr()) };
    assert!(started["lab"].as_str().is_some_and(|lab| lab.ends_with(", 2 guests")), "{started:#}");
    assert_eq!(events(&ran, "run_finished").len(), 1);
    Ok(())
}

fn guests_that_keep_dying_are_given_up_and_what_was_not_run_says_why() -> Tested {
    let cases: String = (0..12).map(|number| breaks(&format!("case_{number}"), "reboot")).collect();
    let text = format!("name: keeps\nbackends: [iommufd]\ncases:\n{cases}");
    let ran = lab_run("keeps-run", &[&scenario("keeps", &text)])?;
    ran.expect(3);
    assert_eq!(junit(&ran), [0, 10, 2], "{}", ran.junit());
    assert!(ran.junit().contains("not run: 10 guests in a row died of a case"), "{}", ran.junit());
    Ok(())
}

/// The process of QEMU below a run.
fn qemu_of(run: &Child) -> Option<nix::unistd::Pid> {
    // Each guest is the child of a thread of its own.
    let threads = fs::read_dir(format!("/proc/{}/task", run.id())).into_iter().flatten().flatten();
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let pids: String = threads.map(|thread| children(thread) + " ").collect();
    let mut pids = pids.split_whitespace().map(|pid| pid.parse::<i32>().expect("a number"));
    // It is called by its loader, whose name the process has.
    let line = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.find(|pid| line(pid).contains("/qemu-system-")).map(nix::unistd::Pid::from_raw)
}

fn a_guest_that_hangs_or_is_killed_costs_the_case_in_flight_and_no_result() -> Tested {
    let waits = |name: &str| {
        let step = "{ mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 10s }, expect: ETIMEDOUT }";
        format!("  - name: {name}\n    timeout: 15s\n    steps: [{step}]\n")
    };
    let text = format!(
        "name: taken\nbackends: [iommufd]\ncases:\n{}{}{}{}{}",
        fine("first", ""),
        waits("hangs"),
        fine("second", ""),
        waits("is_killed"),
        fine("third", "")
    );
    lab()?;
    let _place = place();
    let folder = folder("taken-runs");
    let (journal, junit) = (folder.join("journal.jsonl"), folder.join("junit.xml"));
    let mut command = command();
    command.args(["lab", "run", "--silence", "20s", "--journal"]).arg(&journal).arg("--junit").arg(&junit);
    let mut child = command.arg(scenario("taken", &text)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    for (case, signal) in [(1, Signal::SIGSTOP), (3, Signal::SIGKILL)] {
        let begun = |event: &Event| matches!(event, Event::CaseStarted { case: begun } if *begun == case);
        let deadline = Instant::now() + Duration::from_secs(300);
        while !read_file(&journal).is_ok_and(|events| events.iter().any(begun)) {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "case {case} does not begin");
            thread::sleep(Duration::from_millis(50));
        }
        kill(qemu_of(&child).expect("the guest is a process of QEMU"), signal).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let results = full(&run_of(&journal));
    let of = |name: &str| &results.iter().find(|full| full.planned.name == name).expect("it was planned").result;
    for case in ["first", "second", "third"] {
        assert_eq!(of(case).verdict, Verdict::Passed, "{case}");
    }
    let message = |name: &str| of(name).message.as_deref().unwrap_or_default();
    assert_eq!((of("hangs").verdict, of("is_killed").verdict), (Verdict::Error, Verdict::Error));
    assert!(message("hangs").starts_with("the guest died while this case ran: nothing was heard of it for "));
    assert!(message("is_killed").starts_with("the guest died while this case ran"), "{}", message("is_killed"));
    Ok(())
}

fn a_worker_that_crashes_starves_spins_or_hangs_costs_its_case_and_no_other() -> Tested {
    let fresh = |name: &str| fine(name, "    fixture: fresh\n");
    let late = |name: &str, steps: &str| format!("  - name: {name}\n    timeout: 300ms\n    steps: {steps}\n");
    let text = ["name: workers\nbackends: [iommufd]\ncases:\n".to_owned()]
        .into_iter()
        .chain([breaks("crashes", "crash"), fine("after_crash", "")])
        .chain([breaks("starves", "exhaust_memory"), fine("after_starving", "")])
        .chain([late("spins", "[{ lab_fault: spin }]"), fine("after_spinning", "")])
        .chain([late("waits", "[{ irq_enable: { index: msi } }, { irq_wait: { index: msi, timeout: 1min } }]")])
        .chain([fresh("after_waiting")])
        .chain([late("polls", "[{ mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 1min } }]")])
        .chain([late("known_to_wait", "[{ irq_enable: { index: msi } }, { irq_wait: { index: msi, timeout: 1min } }]")])
        .chain([
            "    known_issue: { reason: \"it never fires on {{ iommu }}\", message: timed out, until: 2999-12-31 }\n"
                .into(),
        ])
        .chain([late("stuck", "[{ lab_fault: stuck }]"), fine("after_stuck", "")])
        .collect::<String>();
    let file = scenario("workers", &text);
    let ran = lab_run("workers-run", &[&file])?;
    ran.expect(1);
    let results = results(&ran);
    let line = |of: &str| 1 + text.lines().position(|line| line.contains(of)).unwrap();
    let at = |verb: &str, of: &str| format!("{verb} at {file}:{}", line(of));
    for case in ["after_crash", "after_starving", "after_spinning", "after_waiting"] {
        verdict(&results, case, "passed", &[]);
    }
    verdict(&results, "crashes", "error", &[&at("lab_fault", "lab_fault: crash"), "killed by SIGABRT"]);
    verdict(
        &results,
        "starves",
        "error",
        &[&at("lab_fault", "lab_fault: exhaust_memory"), "SIGKILL", "the machine ran out of memory"],
    );
    assert!(console(&results["starves"]).contains("Out of memory: Killed process"), "{:#}", results["starves"]);
    assert!(!console(&results["spins"]).contains("Out of memory"), "only what it said during that case");
    verdict(
        &results,
        "spins",
        "error",
        &["timed out after 300ms", &at("lab_fault", "lab_fault: spin"), "no verdict on them"],
    );
    verdict(&results, "waits", "failed", &["timed out after 300ms", &at("irq_wait", "irq_wait")]);
    let calls = results["waits"]["trace"].as_array().unwrap();
    assert!(calls.iter().any(|call| call.as_str().unwrap().starts_with("poll(")), "its calls are kept: {calls:?}");
    verdict(&results, "polls", "failed", &["timed out after 300ms", &at("mmio_poll", "mmio_poll")]);
    verdict(&results, "known_to_wait", "known_issue", &["it never fires on intel (timed out after 300ms in irq_wait"]);
    verdict(&results, "stuck", "failed", &["timed out after 300ms", "stuck in the kernel", "the device is given up"]);
    let detail = results["stuck"]["detail"].as_str().unwrap();
    assert!(detail.contains("vfio_unregister_group_dev"), "its kernel stack is told:\n{detail}");
    assert_eq!(results["stuck"]["at"], format!("{file}:{}", line("lab_fault: stuck")));
    verdict(&results, "after_stuck", "skipped", &["not run: the device was given up"]);
    Ok(())
}

fn a_flake_is_shown_as_a_flake_and_a_repeated_case_fails_if_it_fails_once() -> Tested {
    let text =
        format!("name: flakes\nbackends: [iommufd]\ncases:\n{}{}", breaks("flake", "fail_once"), fine("steady", ""));
    let file = scenario("flakes", &text);
    let ran = lab_run("flakes-run", &["--retries", "2", &file])?;
    ran.expect(0);
    let flake = &results(&ran)["flake"];
    assert_eq!(flake["verdict"], "flaky", "{flake:#}");
    let verdicts: Vec<_> = flake["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["verdict"]).collect();
    assert_eq!(verdicts, ["failed", "passed"]);
    assert_eq!(events(&ran, "case_attempted").len(), 1);
    assert!(ran.stdout().contains("2 cases: 1 passed, 1 flaky"), "{}", ran.stdout());
    assert!(ran.junit().contains("flaky: passed at attempt 2 only"), "{}", ran.junit());

    let ran = lab_run("flakes-fail-run", &["--retries", "1", "--fail-on-flaky", &file])?;
    ran.expect(1);

    let ran = lab_run("flakes-repeat-run", &["--repeat", "3", "--filter", "case == 'flake'", &file])?;
    ran.expect(1);
    verdict(&results(&ran), "flake", "failed", &["lab_fault gave EIO", "in 1 of 3 attempts"]);
    assert_eq!(events(&ran, "case_planned").len(), 1, "and the other was not selected");
    Ok(())
}

fn the_first_failure_can_be_the_last_and_what_failed_can_run_again_alone() -> Tested {
    let fails = "  - name: fails\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: EINVAL }\n";
    let text = format!("name: fast\nbackends: [iommufd]\ncases:\n{}{fails}{}", fine("first", ""), fine("last", ""));
    let file = scenario("fast", &text);
    let ran = lab_run("fast-run", &["--fail-fast", &file])?;
    ran.expect(1);
    assert_eq!(junit(&ran), [1, 0, 1]);
    assert!(ran.junit().contains("not run: a case did not pass (--fail-fast)"), "{}", ran.junit());

    let from = ran.journal.to_str().unwrap();
    let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fast-journal.jsonl");
    fs::copy(from, &saved).unwrap();
    let again = ["--rerun", "failed", "--from", saved.to_str().unwrap(), "--shuffle=7", &file];
    let ran = lab_run("fast-rerun", &again)?;
    ran.expect(1);
    let names: Vec<_> = results(&ran).into_keys().collect();
    assert_eq!(names, ["fails", "last"], "what failed, and what was not run");
    assert_eq!(events(&ran, "run_started")[0]["shuffle"], 7);
    assert!(ran.stderr().contains("--shuffle=7"), "{}", ran.stderr());
    Ok(())
}

fn a_failure_can_be_looked_at_in_the_guest_as_the_case_left_it() -> Tested {
    lab()?;
    let text = format!(
        "name: kept\nbackends: [iommufd]\ncases:\n{}{}{}",
        fine("first", ""),
        "  - name: fails\n    requires: [{ that: \"{{ iommu_group.others.grade == 'good' and host.iommu.grade == 'good' }}\", because: \"{{ host.iommu.says }}\" }]\n    regions: { buffer: { memory: anonymous, size: 16KiB } }\n    steps:\n      - map: { region: buffer, iova: 0x7000000 }\n      - unmap: { iova: 0x7000000, size: 4KiB }\n        expect: EINVAL\n",
        fine("last", "")
    );
    let told = "    requires: [{ that: \"{{ host.backends.grade == 'blocks' or iommu_group.number < 0 }}\", because: \"{{ host.backends.says }}, {{ iommu_group.others.says }}, {{ iommu_group.members[0] }}{{ host.xen.says }}\" }]\n";
    let text = text.replacen("  - name: fails", &(fine("told", told) + "  - name: fails"), 1);
    let file = scenario("kept", &text);
    let folder = folder("kept-run");
    let (journal, junit, files) = (folder.join("journal.jsonl"), folder.join("junit.xml"), folder.join("files"));
    let typed = folder.join("typed");
    // The entry of the page table shows that nothing has been unmapped, and the file that the device is open.
    let look = "echo $DEVICE is on $(basename $(readlink /sys/bus/pci/devices/$DEVICE/driver))\n\
                grep -c 0x0000000007000 /sys/kernel/debug/iommu/intel/$DEVICE/domain_translation_struct\n\
                ls -l /proc/[0-9]*/fd | grep -o '/dev/vfio/devices/.*'\nexit\n";
    fs::write(&typed, look).unwrap();
    let place = place();
    let mut command = command();
    command.args(["lab", "run", "--keep-on-failure", "--journal"]).arg(&journal).arg("--junit").arg(&junit);
    command.arg("--attachments").arg(&files).arg(&file).stdin(fs::File::open(&typed).unwrap());
    let output = command.output().expect("the binary starts");
    drop(place);
    let (stdout, stderr) = expect(&output, 1);
    let stdout = stdout.replace('\r', "");
    for told in
        [" is on vfio-pci\n", "\n1\n", "\n/dev/vfio/devices/vfio1\n", "4 cases: 1 passed, 1 failed, 2 skipped in "]
    {
        assert!(stdout.contains(told), "{told}: {stdout}");
    }
    assert!(stderr.contains("vfiospec: the case did not pass, and this is the guest as it left it"), "{stderr}");
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("not run: a case did not pass (--keep-on-failure)"), "{xml}");
    // As doctor says it.
    assert!(xml.contains("\"the kernel has TYPE1 and IOMMUFD, it is alone in group "), "{xml}");
    assert!(xml.contains(", 0000:00:03.0\""), "{xml}");
    let table = files.join("kept.kept.iommufd__edu.fails.page-table.txt");
    assert!(xml.contains(&format!("[[ATTACHMENT|{}]]\n", table.display())), "{xml}");
    let table = fs::read_to_string(table).expect("a file");
    assert!(table.starts_with("iova 0x7000000: 4KiB at 0x") && table.ends_with(" rw\n"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    Ok(())
}

/// Many quick cases, some of which do not pass.
fn many() -> String {
    let quick = |name: &str| {
        format!("{}    matrix: {{ number: [1, 2, 3, 4] }}\n    covers: [\"{{{{ number }}}}\"]\n", fine(name, ""))
    };
    let fails = "  - name: fails\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: EINVAL }\n";
    let skips = fine("skips", "    requires: [{ that: \"{{ false }}\", because: it never applies }]\n");
    format!("name: many\nbackends: all\ncases:\n{}{}{fails}{skips}{}", quick("one"), quick("two"), quick("three"))
}

/// What identifies a result, without times and addresses.
fn essence(run: &Run) -> Vec<(String, Verdict, Option<String>, u32)> {
    let of =
        |Full { planned, result, .. }: Full| (planned.id().to_string(), result.verdict, result.message, result.checks);
    full(run).into_iter().map(of).collect()
}

/// All that is known of each case.
fn full(run: &Run) -> Vec<Full> {
    run.cases.iter().map(|case| run.full(case).expect("the journal is still there")).collect()
}

fn told_its_end(run: &Run) -> bool {
    run.parts().all(|part| part.finished.is_some())
}

fn run_of(journal: &Path) -> Run {
    Run::from_events(read_file(journal).expect("a journal"))
}

/// `vfiospec lab run` in the background.
fn start(journal_option: &str, journal: &Path, junit: &Path, file: &str) -> Child {
    let mut command = command();
    command.args(["lab", "run", journal_option]).arg(journal).arg("--junit").arg(junit).arg(file);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// Waits until the journal has so many lines; false if the run ended before.
fn until_lines(child: &mut Child, journal: &Path, lines: usize) -> bool {
    let begin = Instant::now();
    loop {
        let there = fs::read(journal).map(|text| text.iter().filter(|byte| **byte == b'\n').count());
        if there.as_ref().is_ok_and(|there| *there >= lines) {
            return true;
        }
        if child.try_wait().expect("it can be waited for").is_some() {
            return false;
        }
        assert!(begin.elapsed() < Duration::from_secs(300), "the run stands still at line {there:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A run of [`many`] that nothing disturbs: what every other run of it has to come to.
struct Undisturbed {
    file: String,
    ran: Ran,
    whole: Run,
    /// The length of its journal.
    lines: usize,
}

fn undisturbed() -> Result<&'static Undisturbed, NotTested> {
    static RUN: OnceLock<Result<Undisturbed, NotTested>> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        let file = scenario("many", &many());
        let ran = lab_run("many-undisturbed", &[&file])?;
        ran.expect(1);
        let (whole, lines) = (run_of(&ran.journal), fs::read_to_string(&ran.journal).unwrap().lines().count());
        Ok(Undisturbed { file, ran, whole, lines })
    });
    run.as_ref().map_err(NotTested::clone)
}

/// Looks at what a run that was killed has told; gives how many cases were running.
fn left_behind(told: &[Event], finished: &BTreeMap<u32, &CaseResult>, whole: &Run, killed: bool) -> usize {
    let run = Run::from_events(told.to_vec());
    let mut running = 0;
    for ((case, Full { planned, result }), undisturbed) in run.cases.iter().zip(full(&run)).zip(full(whole)) {
        assert_eq!(planned, undisturbed.planned, "nothing is invented");
        match finished.get(&planned.case) {
            Some(told) => {
                assert_eq!((case.state, &&result), (State::Finished, told), "every finished case is there");
                assert_eq!(result.verdict, undisturbed.result.verdict, "{}", planned.id());
            }
            None if case.state == State::Died => {
                running += 1;
                assert_eq!(result.verdict, Verdict::Error);
            }
            None => assert_eq!((case.state, result.verdict), (State::NotRun, Verdict::Skipped)),
        }
    }
    assert!(running <= 1, "at most one was running: {running}");
    assert!(!killed || !told_its_end(&run) || finished.len() == whole.cases.len(), "it told no end that was none");
    running
}

/// Kills a run at a moment, looks at what it left, and has it go on to its end. Gives how many results there were, and how many
/// cases were running, when it was killed.
fn killed_and_resumed(folder: &Path, file: &str, whole: &Run, lines: usize, delay: Duration) -> (usize, usize) {
    let (journal, junit) = (folder.join("journal.jsonl"), folder.join("junit.xml"));
    let _ = fs::remove_file(&journal);
    let mut child = start("--journal", &journal, &junit, file);
    until_lines(&mut child, &journal, lines);
    thread::sleep(delay);
    let _ = child.kill();
    let killed = child.wait().expect("it ends").signal() == Some(9);

    let told = read_file(&journal).expect("readable, torn or not");
    let finished: BTreeMap<u32, &CaseResult> = told
        .iter()
        .filter_map(|event| match event {
            Event::CaseFinished(result) => Some((result.case, result)),
            _ => None,
        })
        .collect();
    let running = if told.is_empty() { 0 } else { left_behind(&told, &finished, whole, killed) };

    let mut child = start("--resume", &journal, &junit, file);
    let status = child.wait().expect("it ends");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    let resumed = run_of(&journal);
    assert_eq!(essence(&resumed), essence(whole), "killed after {} results", finished.len());
    assert!(resumed.cases.iter().all(|case| case.state == State::Finished) && told_its_end(&resumed));
    let kept = full(&resumed);
    for result in finished.values() {
        let kept = kept.iter().find(|kept| kept.planned.case == result.case).unwrap();
        assert_eq!(&&kept.result, result, "what was known was not run again");
    }
    let xml = fs::read_to_string(&junit).expect("there is a JUnit file");
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).count();
    assert_eq!(cases, whole.cases.len());
    (finished.len(), running)
}

/// Another one each time.
fn new_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// How many runs are killed: few in every test run, more where `VFIOSPEC_KILLS` says so.
fn kills() -> u64 {
    std::env::var("VFIOSPEC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn a_run_that_is_killed_at_any_moment_loses_nothing_and_goes_on_to_the_same_result() -> Tested {
    let Undisturbed { file, whole, lines, .. } = undisturbed()?;
    let _place = place();
    let folder = folder("killed-runs");
    // Moments from all over the run: its beginning, its plan, each case.
    let given = std::env::var("VFIOSPEC_KILL_SEED").ok().map(|text| text.parse().expect("a number"));
    let mut seed: u64 = given.unwrap_or_else(new_seed);
    eprintln!("to kill at the same moments again: VFIOSPEC_KILL_SEED={seed}");
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut in_case, mut moments) = (0, Vec::new());
    for number in 0..kills() {
        let at = random(*lines as u64 + 1) as usize;
        let delay = Duration::from_micros(random(5_000));
        let (finished, running) = killed_and_resumed(&folder, file, whole, at, delay);
        in_case += running;
        moments.push(finished);
        eprintln!("kill {number}: at line {at} of {lines}, {finished} of {} results", whole.cases.len());
    }
    eprintln!("{} runs killed after {moments:?} results, {in_case} of them within a case", kills());
    Ok(())
}

fn an_interrupted_run_ends_in_good_order_and_goes_on() -> Tested {
    let Undisturbed { file, whole, lines, .. } = undisturbed()?;
    let _place = place();
    let folder = folder("stopped-runs");
    let (journal, junit) = (folder.join("journal.jsonl"), folder.join("junit.xml"));
    let mut child = start("--journal", &journal, &junit, file);
    assert!(until_lines(&mut child, &journal, lines * 2 / 3));
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let run = run_of(&journal);
    assert!(run.interrupted());
    assert!(run.cases.iter().any(|case| case.state == State::Finished), "what was known is told");
    let xml = fs::read_to_string(&junit).expect("there is a JUnit file");
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).count();
    assert_eq!(cases, whole.cases.len(), "every case that was planned");

    assert_eq!(start("--resume", &journal, &junit, file).wait().unwrap().code(), Some(1));
    assert_eq!(essence(&run_of(&journal)), essence(whole));
    Ok(())
}

fn a_run_that_is_interrupted_while_its_guest_boots_leaves_the_results_of_the_run_before() -> Tested {
    let Undisturbed { file, ran, whole, .. } = undisturbed()?;
    let _place = place();
    let folder = folder("booting-runs");
    let (journal, junit) = (folder.join("journal.jsonl"), folder.join("junit.xml"));
    let before = fs::read(&ran.journal).unwrap();
    fs::write(&journal, &before).unwrap();
    fs::write(&junit, "of the run before").unwrap();
    let mut child = start("--journal", &journal, &junit, file);
    let begin = Instant::now();
    while qemu_of(&child).is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no guest is started");
        thread::sleep(Duration::from_millis(1));
    }
    kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read(&journal).unwrap(), before);
    let xml = fs::read_to_string(&junit).unwrap();
    assert_eq!(xml.matches("not run: the run was interrupted").count(), whole.cases.len(), "{xml}");
    Ok(())
}

fn a_second_interrupt_ends_the_run_at_once_and_the_journal_holds() -> Tested {
    let Undisturbed { file, whole, lines, .. } = undisturbed()?;
    let _place = place();
    let folder = folder("at-once-runs");
    let (journal, junit) = (folder.join("journal.jsonl"), folder.join("junit.xml"));
    let mut child = start("--journal", &journal, &junit, file);
    assert!(until_lines(&mut child, &journal, lines * 2 / 3));
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    for _ in 0..2 {
        kill(pid, Signal::SIGINT).unwrap();
        thread::sleep(Duration::from_millis(20)); // two at the same moment are one
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let run = run_of(&journal);
    let states = run.cases.iter().map(|case| case.state);
    let known: Vec<_> = full(&run).into_iter().zip(states).filter(|(_, state)| *state == State::Finished).collect();
    assert!(!known.is_empty());
    assert_eq!(start("--resume", &journal, &junit, file).wait().unwrap().code(), Some(1));
    let resumed = run_of(&journal);
    assert_eq!(essence(&resumed), essence(whole));
    let resumed = full(&resumed);
    assert!(known.iter().all(|(known, _)| resumed.contains(known)), "what was known was not run again");
    Ok(())
}

/// A journal of a run on a host that has been booted since, cut within a case.
fn cut_within_a_case(ran: &Ran, to: &Path) -> u32 {
    let text = fs::read_to_string(&ran.journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let begun: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains("\"case_started\"")).collect();
    let cut = begun[begun.len() / 2];
    let boot = events(ran, "run_started")[0]["boot"].as_str().unwrap().to_owned();
    assert!(!boot.is_empty());
    let before = lines[..=cut].join("\n").replace(&boot, "00000000-0000-0000-0000-000000000000");
    fs::write(to, before + "\n{\"event\":\"case_fin").unwrap();
    serde_json::from_str::<serde_json::Value>(lines[cut]).unwrap()["case"].as_u64().unwrap() as u32
}

fn after_a_reboot_the_case_that_took_the_host_down_is_blamed_and_runs_again_only_if_asked() -> Tested {
    let Undisturbed { file, ran, whole, .. } = undisturbed()?;
    let _place = place();
    let folder = folder("reboot-runs");
    let (journal, junit) = (folder.join("journal.jsonl"), folder.join("junit.xml"));
    let case = cut_within_a_case(ran, &journal);

    let mut child = start("--resume", &journal, &junit, file);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let run = run_of(&journal);
    let blamed: Vec<_> = full(&run).into_iter().filter(|case| case.result.verdict == Verdict::Error).collect();
    assert_eq!(blamed.len(), 1);
    assert_eq!(blamed[0].planned.case, case);
    let message = blamed[0].result.message.as_deref().unwrap();
    assert!(message.starts_with("the host went down while this case ran"), "{message}");
    let others = |run: &Run| {
        essence(run).into_iter().filter(|(id, ..)| *id != blamed[0].planned.id().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(others(&run), others(whole));

    let mut command = command();
    command.args(["lab", "run", "--retry-died", "--resume"]).arg(&journal).arg("--junit").arg(&junit).arg(file);
    assert_eq!(command.output().expect("the binary starts").status.code(), Some(1));
    assert_eq!(essence(&run_of(&journal)), essence(whole));
    Ok(())
}

fn a_run_does_not_go_on_with_other_scenarios_or_another_selection() -> Tested {
    let file = scenario("changed", &format!("name: changed\nbackends: [iommufd]\ncases:\n{}", fine("case", "")));
    let ran = lab_run("changed-run", &[&file])?;
    ran.expect(0);
    let before = fs::read(&ran.journal).unwrap();
    let go_on = |more: &[&str]| {
        let output =
            command().args(["lab", "run", "--resume"]).arg(&ran.journal).arg(&file).args(more).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = go_on(&["--backend", "vfio*"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it had 1 cases, and 0 are selected now"), "{said}");

    let mut text = OpenOptions::new().append(true).open(&file).unwrap();
    std::io::Write::write_all(&mut text, b"# changed\n").unwrap();
    let (code, said) = go_on(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the scenarios or their variables were changed since") && said.contains("help: "), "{said}");
    assert_eq!(fs::read(&ran.journal).unwrap(), before, "and the journal is as it was");
    Ok(())
}
