// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_write`.

use super::prelude::*;

verb! {
    /// A register of the configuration space and a value for it.
    pub struct ConfigWrite {
        /// The capability whose registers `offset` counts from. Without it, from the beginning of the configuration space.
        #[example("pm")]
        pub capability: Option<Structure>,
        /// The name of a register of the header, such as `command`, or where it is, in bytes.
        #[example("command")]
        pub offset: ConfigPlace,
        /// How wide it is. The default is as wide as the register of this name, or 32.
        #[example(16)]
        pub bits: Option<Bits>,
        /// What to write; it has to fit. A list of names sets these bits and clears all others. Required unless `set` or `clear` is given.
        #[example(["memory", "bus_master"])]
        pub value: Option<RegisterValue> as Plain(offset.fit(bits)),
        /// Bits to set, by their names; all others stay as they are, except those of `clear`.
        #[example(["bus_master"])]
        pub set: Vec<HeaderBit> = empty,
        /// Bits to clear, by their names; all others stay as they are, except those of `set`.
        #[example(["intx_disable"])]
        pub clear: Vec<HeaderBit> = empty,
    }
}

impl Known for ConfigWrite {
    const ABOUT: About = About {
        does: "Write a register of the configuration space, or set and clear bits of it. The device is restored after the case.",
        examples: &["{ offset: command, set: [memory, bus_master] }", r#"{ offset: "0x4", bits: 16, value: "0x6" }"#],
        device: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let ConfigWrite { capability, offset, bits: _, value, set, clear } = self;
        let mut mistakes: Vec<_> = offset.wrong(capability, site).into_iter().collect();
        mistakes.extend(value.iter().flat_map(|value| value.wrong(offset, "value", site)));
        for (key, named) in [("set", set), ("clear", clear)] {
            mistakes.extend(wrong_bits(named, offset, key, site));
            if value.is_some() && !named.is_empty() {
                let title = format!("`{key}` beside `value`");
                let mistake = Diagnostic::error(Code::TwoForms, site.at.join(key), title).at(Target::Key);
                mistakes.push(mistake.label("expected either the whole value, or bits to set and to clear").note(
                    site.at.join("value"),
                    Target::Key,
                    "this says already what to write",
                ));
            }
        }
        if matches!(offset, ConfigPlace::Named(HeaderRegister::Status)) && value.is_none() {
            let title = "`set` and `clear` of `status`";
            let mistake = Diagnostic::error(Code::MisplacedKey, site.at.join("offset"), title);
            mistakes.push(
                mistake
                    .label("expected `value`: a bit of `status` that is written as 1 becomes 0, and the others stay"),
            );
        }
        for (index, bit) in clear.iter().enumerate().filter(|(_, bit)| set.contains(bit)) {
            let title = format!("`{}` is set and cleared", bit.as_str());
            let mistake = Diagnostic::error(Code::TwoForms, site.at.join("clear").join(index), title);
            mistakes.push(mistake.label("expected each bit in one of `set` and `clear`"));
        }
        if value.is_none() && set.is_empty() && clear.is_empty() {
            let mistake =
                Diagnostic::error(Code::MissingKey, site.at.clone(), "`config_write` does not say what to write");
            mistakes.push(mistake.at(Target::Key).label("expected `value`, or `set` and `clear`, in it"));
        }
        mistakes
    }
}
