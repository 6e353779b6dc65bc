// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where this machine gets its Debian packages, read from its own apt configuration.

use super::error::LabError;

pub(super) const FORMAT: &str = "$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";

/// The Debian release of this machine, such as `bookworm`, from the text of `/etc/os-release`.
///
/// # Errors
/// Another distribution: the packages have other names there.
pub(super) fn codename(os_release: &str) -> Result<String, String> {
    let field = |name: &str| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    match (field("ID").as_deref(), field("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) => Ok(codename),
        (Some("debian"), None) => Ok("sid".into()),
        (id, _) => Err(id.unwrap_or("unknown").to_owned()),
    }
}

/// The mirror of the main archive among apt's index targets (lines of [`FORMAT`]), with `/` at its end.
///
/// The machine's own release is best, then its updates, then whatever offers `main`; the security archive has neither
/// kernels' sources of other releases nor backports.
pub(super) fn mirror(targets: &str, codename: &str) -> Result<String, LabError> {
    let mut best: Option<(u32, &str)> = None;
    for line in targets.lines() {
        let [created_by, uri, release, component] = line.split('|').collect::<Vec<_>>()[..] else { continue };
        let secure = release.ends_with("-security") || release.ends_with("/updates") || uri.contains("security");
        if created_by != "Packages" || component != "main" || secure || uri.starts_with("cdrom:") {
            continue;
        }
        let rank = match release.strip_prefix(codename) {
            Some("") => 3,
            Some("-updates" | "-backports") => 2,
            _ if ["stable", "testing", "unstable", "sid"].contains(&release) => 1,
            _ => 0,
        };
        // A directory named debian is the archive; a third party's `main` is in some other.
        let rank = rank * 2 + u32::from(uri.trim_end_matches('/').ends_with("/debian"));
        if rank > 0 && best.is_none_or(|(other, _)| other < rank) {
            best = Some((rank, uri));
        }
    }
    match best {
        Some((_, uri)) => Ok(format!("{}/", uri.trim_end_matches('/'))),
        None => Err(LabError::new("failed to find a Debian mirror in this machine's apt configuration")
            .detail(format!(
                "expected a source of `{codename} main`, read {} index targets that are none",
                targets.lines().count()
            ))
            .help(format!("add `deb <mirror> {codename} main` to /etc/apt/sources.list"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN_12: &str = "\
DEP-11|http://mirror.test/debian/|bookworm|main
Packages|http://mirror.test/debian-security/|bookworm-security|main
Packages|http://updates.test/debian/|bookworm-updates|main
Packages|http://vendor.test/apt/|bookworm|main
Packages|http://mirror.test/debian/|bookworm|main
Translations|http://mirror.test/debian/|bookworm|main
";

    #[test]
    fn the_mirror_is_that_of_the_machines_own_release() {
        assert_eq!(mirror(DEBIAN_12, "bookworm").unwrap(), "http://mirror.test/debian/");
        let stable = "Packages|https://m.test/debian|stable|main\n";
        assert_eq!(mirror(stable, "trixie").unwrap(), "https://m.test/debian/");
        let list = "Packages|mirror+file:/etc/apt/mirrors/debian.list/|trixie|main\n";
        assert_eq!(mirror(list, "trixie").unwrap(), "mirror+file:/etc/apt/mirrors/debian.list/");
    }

    #[test]
    fn no_mirror_is_an_error_that_says_what_to_add() {
        let error = mirror("Packages|http://m.test/debian-security/|bookworm-security|main", "bookworm").unwrap_err();
        assert!(error.to_string().contains("deb <mirror> bookworm main"), "{error}");
        assert!(mirror("Packages|cdrom:[Debian]/|bookworm|main", "bookworm").is_err());
    }

    #[test]
    fn only_debian_has_debians_packages() {
        assert_eq!(codename("NAME=\"Debian\"\nVERSION_CODENAME=bookworm\nID=debian\n").unwrap(), "bookworm");
        assert_eq!(codename("ID=debian\n").unwrap(), "sid");
        assert_eq!(codename("ID=\"fedora\"\n").unwrap_err(), "fedora");
    }
}
