// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fixes that a scenario or a case names.

use super::Checker;
use crate::language::{Diagnostic, Fix, Path, Target};
use crate::model::{Release, code::Code};

impl Checker<'_> {
    pub(super) fn fixes(&mut self, path: &Path, fixes: &[Fix]) {
        for (index, Fix { releases, broken_since, .. }) in fixes.iter().enumerate() {
            let fix = path.join(index);
            self.one_of_each_series(&fix.join("broken_since"), broken_since, "the bug");
            let path = fix.join("releases");
            self.one_of_each_series(&path, releases, "the fix");
            if !releases.is_empty() && !releases.iter().copied().any(Release::is_mainline) {
                self.say(
                    Diagnostic::error(Code::Releases, path, "no release of mainline has the fix")
                        .label("expected one of two numbers, too, such as \"6.14\"")
                        .help("write the release of mainline that has the commit, even if it is still to come"),
                );
            }
        }
    }

    fn one_of_each_series(&mut self, path: &Path, releases: &[Release], what: &str) {
        for (index, release) in releases.iter().enumerate() {
            let is_same = |other: &Release| other.series() == release.series();
            let both_mainline = |other: &Release| other.is_mainline() && release.is_mainline();
            let earlier = &releases[..index];
            let Some(other) = earlier.iter().position(|other| is_same(other) || both_mainline(other)) else {
                continue;
            };
            let (major, minor) = release.series();
            let title = match is_same(&earlier[other]) {
                true => format!("`{release}` is a second release of the series {major}.{minor}"),
                false => format!("`{release}` is a second release of mainline"),
            };
            self.say(
                Diagnostic::error(Code::Releases, path.join(index), title)
                    .label(format!("expected only the first one that has {what}"))
                    .note(path.join(other), Target::Value, "the other one"),
            );
        }
    }
}
