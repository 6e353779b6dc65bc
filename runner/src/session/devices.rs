// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices that the user names, and what to say when there are none.

use std::fmt::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::{str::FromStr, thread, time::Duration};

use super::Failure;
use crate::backend;
use clap::Args;

use crate::host::bind::{BindError, Binding, VFIO};
use crate::host::in_the_way::{self, in_the_way, no_access, no_iommu_help};
use crate::host::{self, doctor, facts, grant as handed, modules, taken};
use crate::model::{Bdf, Exit};
use crate::{event::DeviceUsed, language::Name, language::Site, uapi::system};

/// What a device is called that was given no name.
const UNNAMED: &str = "device";

/// `--device`: an address, or a name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    name: Option<String>,
    bdf: Bdf,
}

impl Named {
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }
}

impl Named {
    /// A device that the inventory names.
    fn of(name: &str, bdf: Bdf) -> Named {
        Named { name: Some(name.to_owned()), bdf }
    }

    pub(super) fn used(&self) -> DeviceUsed {
        let name = self.name.clone().unwrap_or_else(|| UNNAMED.to_owned());
        DeviceUsed { name, bdf: self.bdf.to_string(), ..DeviceUsed::default() }.of_kind(host::kind(self.bdf))
    }
}

impl Named {
    /// The same, with the capabilities that sysfs shows only to root: VFIO shows them to whoever may open the device.
    fn seen(&self) -> DeviceUsed {
        let is_ours = !system::is_root() && host::pci::driver(self.bdf).as_deref() == Some(VFIO);
        match is_ours.then(|| backend::config_space(self.bdf)).flatten() {
            Some(config) => self.used().of_kind(host::kind_of(self.bdf, &config)),
            None => self.used(),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.iter().try_for_each(|name| write!(f, "{name}="))?;
        self.bdf.fmt(f)
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        let (name, address) = match text.split_once('=') {
            Some((name, address)) => (Some(name), address),
            None => (None, text),
        };
        if let Some(name) = name
            && !Name::is_valid(&name.replace('-', "_"))
        {
            return Err(format!("`{name}` is no name: expected letters, digits, `_` and `-`"));
        }
        if let Some(name @ ("any" | "all" | "virtual_function")) = name {
            return Err(format!("`{name}` means something else in scenarios: give the device another name"));
        }
        let bdf = address.parse::<Bdf>().map_err(|error| error.to_string())?;
        Ok(Named { name: name.map(|name| name.replace('-', "_")), bdf })
    }
}

/// The devices that an inventory gives this machine, and what is wrong with the first that is not there or is another one.
pub fn at_site(site: &Site) -> (Vec<Named>, Option<String>) {
    let (mut all, mut wrong) = (Vec::new(), None);
    for (name, device) in site.own().devices.iter() {
        let Some(identity) = device.identity() else { continue };
        let place = site.place(&site.at().join("devices").join(name));
        let why = match host::find(&identity) {
            Ok(bdf) => {
                let named = Named::of(name, bdf);
                let kind = named.seen().kind();
                let is_other = device.is.as_ref().filter(|role| !role.matches(&kind));
                all.push(named);
                is_other.map(|role| format!("{bdf} has {}, expected {}", role.had(&kind), role.wanted()))
            }
            Err(why) if device.optional => {
                eprintln!("vfiospec: `{name}` is not there ({identity}: {why}), and is optional ({place})");
                None
            }
            Err(why) => Some(format!("{identity}: {why}")),
        };
        wrong = wrong.or(why.map(|why| format!("the device `{name}` of {} is missing ({place}): {why}", site.host)));
    }
    (all, wrong)
}

/// How devices are taken.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Taking devices")]
pub struct Taking {
    /// Load vfio-pci and the modules of the backends if they are not, and say so
    #[arg(long)]
    load_modules: bool,

    /// Take the other devices of an IOMMU group, too, without testing them; all are given back
    ///
    /// A device can be used only while no other driver has a device of its group. One that is in use is refused.
    #[arg(long)]
    whole_group: bool,
}

impl Taking {
    /// What an explicit `--load-modules` and `--whole-group` would be.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let words = [(self.load_modules, "--load-modules"), (self.whole_group, "--whole-group")];
        words.into_iter().filter_map(|(given, word)| given.then_some(word))
    }
}

/// The devices, bound to vfio-pci; what was bound is given back when dropped.
pub struct Devices {
    pub used: Vec<DeviceUsed>,
    bindings: Vec<Binding>,
    /// The others of their groups, which no case uses.
    others: Vec<Binding>,
}

/// The devices of an option by what sysfs says of them, before anything is touched. Fails if none is named, or one twice.
pub fn named(named: &[Named], option: &str) -> Result<Vec<DeviceUsed>, Failure> {
    if named.is_empty() {
        return Err(Failure::new(Exit::NoVerdict, none_named()));
    }
    let mut all: Vec<DeviceUsed> = Vec::new();
    for device in named {
        let DeviceUsed { name, bdf, .. } = &device.used();
        if let Some(twice) = all.iter().find(|used| used.bdf == *bdf) {
            let what = format!("{bdf} is named twice, as `{}` and as `{name}`", twice.name);
            return Err(Failure::usage(what, "name each device once"));
        }
        if all.iter().any(|used| used.name == *name) {
            let help = format!("give each a name for the reports: {option} first={bdf} {option} second=…");
            return Err(Failure::usage(format!("two devices are called `{name}`"), help));
        }
        all.push(device.seen());
    }
    Ok(all)
}

/// Binds the devices, as [`named`] found them to be different ones.
///
/// # Errors
/// The first that cannot be had; the others are given back.
pub fn bind(named: &[Named], taking: Taking) -> Result<Devices, BindError> {
    let mut devices = Devices { used: Vec::new(), bindings: Vec::new(), others: Vec::new() };
    let all: Vec<Bdf> = named.iter().map(Named::bdf).collect();
    if taking.load_modules {
        modules::load()?.iter().for_each(|module| eprintln!("vfiospec: loaded the module {module}"));
    }
    // Before any is touched.
    in_the_way::check(&all)?;
    let mut others: Vec<Bdf> = Vec::new();
    for bdf in &all {
        let in_the_way = in_the_way(*bdf, &all);
        if !in_the_way.is_empty() && !taking.whole_group {
            return Err(BindError::NotViable(*bdf, in_the_way));
        }
        for (other, driver) in in_the_way.into_iter().filter(|(other, _)| !others.contains(other)).collect::<Vec<_>>() {
            eprintln!("vfiospec: taking {other} from {driver}, too: it is in the group of {bdf}");
            others.push(other);
        }
    }
    for bdf in others {
        devices.others.push(take(bdf)?);
    }
    for device in named {
        let driver = match take(device.bdf) {
            Ok(binding) => {
                let driver = binding.previous_driver().map(str::to_owned);
                devices.bindings.push(binding);
                driver
            }
            // It was asked for, with `--iommu none`: of all devices, and cases that need none of them run.
            Err(BindError::NoIommu(_)) if facts::is_lab_guest() => None,
            Err(error) => return Err(error),
        };
        if let Some(error) = no_access(device.bdf) {
            return Err(error);
        }
        devices.used.push(DeviceUsed { driver, ..device.used() });
    }
    Ok(devices)
}

/// Binds one, and says what may surprise.
fn take(bdf: Bdf) -> Result<Binding, BindError> {
    let had = host::pci::driver(bdf).filter(|driver| driver != VFIO);
    let taking = had.map(|driver| format!("{driver} to let go of {bdf}"));
    let binding = patiently(taking.as_deref(), || Binding::to_vfio(bdf))?;
    if binding.was_left_behind() {
        let goes = back(binding.previous_driver());
        eprintln!("vfiospec: {bdf} was left on vfio-pci by a run that was killed; it is {goes} after this one");
    }
    if binding.has_unreadable_note() {
        eprintln!(
            "vfiospec: {bdf} was left on vfio-pci by a run that was killed, and its note cannot be read: it stays there; \
             `vfiospec release {bdf}` says what to do"
        );
    }
    Ok(binding)
}

/// Does what the kernel may take its time for, or never end: a driver waits until nobody uses its device. Says then what is waited for.
fn patiently<T>(waiting_for: Option<&str>, act: impl FnOnce() -> T) -> T {
    const PATIENCE: Duration = Duration::from_secs(5);
    let Some(what) = waiting_for else { return act() };
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!(
                    "vfiospec: still waiting for {what}: something uses it, and the kernel's log may say what (dmesg)"
                );
            }
        });
        let done = done;
        let result = act();
        drop(done);
        result
    })
}

/// Gives the devices back that runs left behind which were killed: all that there are notes about, or these, which may be a user's, too. Says
/// what it did, and whether all are back.
pub fn release(only: &[Bdf]) -> bool {
    let mut all = true;
    let (noted, granted) = (taken::all(), handed::all());
    for bdf in only.iter().filter(|bdf| !noted.contains(bdf) && !granted.contains(bdf)) {
        println!("{bdf}: no vfiospec took it");
    }
    let named = |bdf: &Bdf| only.is_empty() || only.contains(bdf);
    let mut said = |bdf: Bdf, done: Result<String, BindError>| match done {
        Ok(what) => println!("{bdf}: {what}"),
        Err(error) => {
            eprintln!("vfiospec: {error}");
            all = false;
        }
    };
    for bdf in noted.into_iter().filter(named) {
        let what = format!("{bdf} to be given back");
        let done = patiently(Some(&what), || Binding::release(bdf));
        let nothing = if host::is_gone(bdf) { "it is no longer in the machine" } else { "it is back already" };
        said(bdf, done.map(|note| note.map_or(nothing.to_owned(), |note| back(note.driver.as_deref()))));
    }
    for bdf in granted.into_iter().filter(named) {
        let user = handed::user(bdf).unwrap_or_default();
        if only.is_empty() {
            println!("{bdf}: stays with {user}, to whom it was handed over; vfiospec release {bdf} takes it back");
        } else {
            said(bdf, handed::revoke(bdf).map(|driver| format!("taken from {user}, {}", back(driver.as_deref()))));
        }
    }
    all
}

/// Hands devices over to a user, and says what was done.
///
/// # Errors
/// There is no such user, or one of the devices cannot be had.
pub fn grant(user: &str, devices: &[Named]) -> Result<(), Failure> {
    let failed = |error: BindError| Failure::new(Exit::NoVerdict, error);
    if !system::is_root() {
        return Err(Failure::new(Exit::NoVerdict, "failed to hand devices over: that takes root"));
    }
    let id = system::user_id(user).ok_or_else(|| {
        Failure::usage(format!("failed to find the user {user}"), "getent passwd lists those there are")
    })?;
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/vfiospec".into());
    let bound = bind(devices, Taking { load_modules: true, whole_group: false }).map_err(failed)?;
    for mut binding in bound.bindings {
        binding.keep();
    }
    let mut written = Vec::new();
    for bdf in devices.iter().map(Named::bdf) {
        let granted = handed::grant(bdf, user, id, &program).map_err(failed)?;
        let files = granted.given.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        println!("{bdf}: it is on vfio-pci, and {user} may open {files}");
        written.extend(granted.written.into_iter().filter(|file| !written.contains(file)).collect::<Vec<_>>());
    }
    for file in written {
        println!("wrote {}", file.display());
    }
    let named: String = devices.iter().map(|device| format!(" --device {device}")).collect();
    println!("{user} may lock any memory from the next login on; a service needs LimitMEMLOCK=infinity in its unit");
    for device in devices {
        println!("to take it back: vfiospec release {}", device.bdf());
    }
    println!("as {user}: vfiospec run{named}");
    Ok(())
}

fn back(driver: Option<&str>) -> String {
    driver.map_or_else(|| "without a driver again".to_owned(), |driver| format!("back with {driver}"))
}

impl Devices {
    /// Lets the command that runs in a guest use them by another vfiospec.
    pub fn hand_over(&mut self) {
        self.bindings.iter_mut().chain(&mut self.others).for_each(Binding::hand_over);
    }

    /// Takes them for what the cases were planned for: what a case is called by depends on it.
    pub fn planned_as(&mut self, planned: &[DeviceUsed]) {
        for (used, planned) in self.used.iter_mut().zip(planned) {
            *used = std::mem::take(used).of_kind(planned.kind());
        }
    }

    /// A run that was killed gave nothing back. Its devices go to the drivers that it noted, when this run ends.
    pub fn belonged_to(&mut self, before: &[DeviceUsed]) {
        for (binding, used) in self.bindings.iter_mut().zip(&mut self.used) {
            let noted = before.iter().find(|before| before.bdf == used.bdf).and_then(|before| before.driver.as_ref());
            if let (None, Some(driver)) = (&used.driver, noted) {
                binding.taken_from(driver);
                used.driver = Some(driver.clone());
            }
        }
    }

    /// Gives every device back to the driver that it had; says on standard error what does not work, and whether all did. A device
    /// that was `given_up` stays: its driver would wait for ever for the process that holds it.
    pub fn give_back(self, given_up: &[bool]) -> bool {
        let mut all = true;
        for (at, (mut binding, used)) in self.bindings.into_iter().zip(&self.used).enumerate() {
            if given_up.get(at).copied().unwrap_or(false) {
                eprintln!(
                    "vfiospec: {} at {} stays with vfio-pci: a process that cannot be killed holds it; reboot to get it back",
                    used.name, used.bdf
                );
                binding.keep();
                all = false;
            } else if let Err(error) = patiently(Some(&format!("{} to be given back", used.bdf)), || binding.restore())
            {
                eprintln!("vfiospec: failed to give a device back: {error}");
                all = false;
            }
        }
        for mut binding in self.others {
            if let Err(error) = binding.restore() {
                eprintln!("vfiospec: failed to give a device back: {error}");
                all = false;
            }
        }
        all
    }
}

fn none_named() -> String {
    let mut text = String::from("no device to run on: this needs one or more `--device ADDRESS`\n");
    let all = doctor::candidates();
    let free: Vec<_> = all.iter().filter(|one| one.obstacles.is_empty()).collect();
    if all.iter().all(|one| one.group.is_none()) {
        let help = no_iommu_help(&host::Root::default());
        let _ = writeln!(text, "  read: no PCI device of this machine is behind an IOMMU\n  help: {help}");
    } else if free.is_empty() {
        text.push_str("  read: something is in the way of each; `vfiospec devices` says what\n");
    } else {
        text.push_str("  these can be had (a device is taken from its driver and given back):\n");
        const LISTED: usize = 20;
        for one in free.iter().take(LISTED) {
            let _ = writeln!(text, "    {}", one.described());
        }
        if free.len() > LISTED {
            let _ = writeln!(text, "    … and {} more", free.len() - LISTED);
        }
        text.push_str("  help: `vfiospec devices` lists the others, too, with what is in the way\n");
    }
    if !system::is_root() {
        text.push_str("  help: opening and binding devices needs root\n");
    }
    text.push_str(
        "  help: without a device to spare, `vfiospec lab run` boots a kernel with an emulated IOMMU and device",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_an_address_with_or_without_a_name() {
        let named: Named = "edu=0000:00:03.0".parse().unwrap();
        assert_eq!((named.name.as_deref(), named.bdf.to_string().as_str()), (Some("edu"), "0000:00:03.0"));
        let named: Named = "00:03.0".parse().unwrap();
        assert_eq!((named.name, named.bdf.to_string().as_str()), (None, "0000:00:03.0"));
        assert!("a b=00:03.0".parse::<Named>().is_err());
        assert!("edu=zz".parse::<Named>().is_err());
    }
}
