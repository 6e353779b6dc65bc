// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `hot_reset`.

use super::prelude::*;
use crate::language::every_step;

verb! {
    /// The reset of the device's bus or slot, and the files that prove that all devices on it are the case's.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- verb:` means all its defaults
    pub struct HotReset {
        /// The group files to pass to the kernel as proof. `device`, or the name of a further device, stands for the file of its group; `iommu`
        /// and the name of a file that the case opened stand for that file. The default is the groups of all open devices. On the backend
        /// iommufd the default is no file, because the devices share one IOMMUFD, which is proof enough.
        #[example(["device"])]
        pub groups: Option<Vec<Name>>,
    }
}

impl Known for HotReset {
    const ABOUT: About = About {
        does: "Reset the device's bus or slot with all devices on it, for which the kernel wants to see that they are all the caller's. \
            `device.hot_reset` is the number of these devices. If somebody else has the lock of one of them, a step that expects success tries \
            again for a second. They are restored after the case.",
        examples: &["null", "{ groups: [] }"],
        device: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let single = site.case.devices.iter().filter(|(_, role)| role.0 != "all").map(|(name, _)| name.to_owned());
        let mut known: Vec<String> = ["device", "iommu"].map(str::to_owned).into_iter().chain(single).collect();
        let steps = every_step(site.case.steps.as_deref().unwrap_or_default(), &site.at);
        let files = steps.iter().map(|placed| placed.step).filter(|step| step.verb.about().makes_file);
        known.extend(files.filter_map(|step| Some(step.save.as_ref()?.0.clone())));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let named = self.groups.iter().flatten().enumerate();
        let wrong = named.filter(|(_, name)| !known.contains(&name.0.as_str()));
        wrong.map(|(index, name)| unknown_device(site.at.join("groups").join(index), name, &known)).collect()
    }
}
