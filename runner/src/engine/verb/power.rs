// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

/// The control and status register of the capability pm, in bytes from its beginning, and the bits of the state in it
/// (`include/uapi/linux/pci_regs.h`: PCI_PM_CTRL).
const CONTROL: u64 = 4;
const STATE: u64 = 3;

impl Act for Power {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Power { state } = self;
        let control =
            step.config_register(&Some(Structure::Pm), &ConfigPlace::At(Size(CONTROL).into()), Some(Bits(16)))?;
        step.changes(Changed::Registers)?; // a device may forget its registers when it wakes up
        let states = [PowerState::D0, PowerState::D1, PowerState::D2, PowerState::D3hot];
        let number = states.iter().position(|known| known == state).expect("these are all") as u64;
        let got = control.read().and_then(|now| control.write(now & !STATE | number)).and_then(|()| control.read());
        step.gave(got, |now| Value::from_pairs([("state", states[(now & STATE) as usize].as_str())]))
    }
}
