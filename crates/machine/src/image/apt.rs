//! Where packages come from: the host's own sources of Debian, named mirrors, or Debian's default.

use std::fs;
use std::path::Path;

use super::error::ImageError;

/// Debian's official address, used when neither the host nor the user names another.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
const DEFAULT_SECURITY: &str = "http://deb.debian.org/debian-security";
/// What Debian's packages are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Releases whose sources a host may have.
const CODENAMES: [&str; 4] = ["bullseye", "bookworm", "trixie", "forky"];
/// Parts of a release that images take packages from.
const POCKETS: [&str; 3] = ["", "-updates", "-security"];
/// How apt reaches sources on this host: valid for images that are built here as well.
const CARRIED: [&str; 5] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Retries ",
    "Acquire::Check-Valid-Until ",
    "Acquire::Check-Date ",
];

/// A release of Debian that images can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12, kernel 6.1
    Bookworm,
    /// Debian 13, kernel 6.12
    Trixie,
}

impl Suite {
    /// As apt calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
        }
    }
}

/// One line of a `sources.list`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    address: String,
    suite: String,
    components: Vec<String>,
}

impl Source {
    fn line(&self) -> String {
        let Self { address, suite, components } = self;
        format!("deb [signed-by={KEYRING}] {address} {suite} {}", components.join(" "))
    }
}

/// Lines of a `sources.list` for a suite: the mirrors that the user names, or else what this host
/// itself uses, or else Debian's default.
pub(crate) fn sources(suite: Suite, mirrors: &[String], etc_apt: &Path) -> Result<Vec<String>, ImageError> {
    if !mirrors.is_empty() {
        return mirrors.iter().map(|mirror| mirror_line(suite, mirror)).collect();
    }
    let mut hosts = of_host(&host_files(etc_apt), suite);
    if hosts.is_empty() {
        let main = vec!["main".to_owned()];
        hosts = POCKETS
            .iter()
            .map(|pocket| {
                let address = if *pocket == "-security" { DEFAULT_SECURITY } else { DEFAULT_MIRROR };
                let suite = format!("{}{pocket}", suite.name());
                Source { address: address.to_owned(), suite, components: main.clone() }
            })
            .collect();
    }
    Ok(hosts.iter().map(Source::line).collect())
}

/// Options of this host's apt that a build needs too, as `Name "value"`, from `apt-config dump`.
pub(crate) fn carried_options(dump: &str) -> Vec<String> {
    let carried = |line: &&str| CARRIED.iter().any(|prefix| line.starts_with(prefix));
    dump.lines().filter(carried).map(|line| line.trim_end_matches(';').to_owned()).collect()
}

fn mirror_line(suite: Suite, mirror: &str) -> Result<String, ImageError> {
    let refused = |reason| ImageError::refused(format!("--mirror {mirror}"), reason);
    if mirror.contains(char::is_control) {
        return Err(refused("has a line break or another control character in it"));
    }
    if has_password(mirror) {
        return Err(refused(
            "has a password in it, which every job could read; put it into /etc/apt/auth.conf",
        ));
    }
    if mirror.starts_with("deb ") {
        return Ok(mirror.to_owned());
    }
    if !mirror.contains("://") || mirror.contains(char::is_whitespace) {
        return Err(refused("is neither an address (http://…/debian) nor a line of a sources.list (deb …)"));
    }
    let components = vec!["main".to_owned()];
    Ok(Source { address: mirror.to_owned(), suite: suite.name().to_owned(), components }.line())
}

/// The files in which a host names its sources.
fn host_files(etc_apt: &Path) -> Vec<String> {
    let mut paths = vec![etc_apt.join("sources.list")];
    if let Ok(parts) = fs::read_dir(etc_apt.join("sources.list.d")) {
        let mut parts: Vec<_> = parts.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        paths.extend(parts);
    }
    let named = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
    };
    paths.into_iter().filter(named).filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Debian's own sources among those of the host, for the suite that is wanted.
fn of_host(files: &[String], wanted: Suite) -> Vec<Source> {
    let mut all: Vec<Source> = files.iter().flat_map(|text| parse(text)).filter(is_debian).collect();
    let release = |source: &Source| CODENAMES.into_iter().find(|name| pocket(source, name).is_some());
    // A mirror that has one release has the others as well.
    let same = all.iter().any(|source| release(source) == Some(wanted.name()));
    all.retain(|source| release(source).is_some_and(|found| !same || found == wanted.name()));
    let mut found = Vec::new();
    for source in all {
        let Some(pocket) = release(&source).and_then(|name| pocket(&source, name)) else { continue };
        let source = Source { suite: format!("{}{pocket}", wanted.name()), ..source };
        if !found.contains(&source) {
            found.push(source);
        }
    }
    found
}

/// `-security` of `bookworm-security`, if this is a source of that release.
fn pocket(source: &Source, codename: &str) -> Option<&'static str> {
    let rest = source.suite.strip_prefix(codename)?;
    POCKETS.into_iter().find(|pocket| *pocket == rest)
}

/// Others offer packages for Debian under the names of its releases; an image takes Debian's own only.
fn is_debian(source: &Source) -> bool {
    let last = source.address.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    last.starts_with("debian")
        && source.components.iter().any(|component| component == "main")
        && !has_password(&source.address)
}

fn has_password(address: &str) -> bool {
    let after = address.split_once("://").map_or("", |(_, after)| after);
    after.split('/').next().is_some_and(|host| host.contains('@'))
}

/// Reads either form of sources: lines, or paragraphs of fields.
fn parse(text: &str) -> Vec<Source> {
    let lines = text.lines().filter_map(one_line);
    let paragraphs = text.split("\n\n").flat_map(paragraph);
    lines.chain(paragraphs).collect()
}

/// `deb [options] address suite component…`
fn one_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (address, suite) = (words.next()?, words.next()?);
    Some(Source { address, suite, components: words.collect() })
}

/// `Types:`, `URIs:`, `Suites:`, `Components:`, each with one or more values.
fn paragraph(text: &str) -> Vec<Source> {
    let field = |name: &str| -> Vec<String> {
        let values = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    if !field("Types").contains(&"deb".to_owned()) || field("Enabled") == ["no"] {
        return Vec::new();
    }
    let (suites, components) = (field("Suites"), field("Components"));
    let of_address = |address: String| {
        let source = |suite: &String| Source {
            address: address.clone(),
            suite: suite.clone(),
            components: components.clone(),
        };
        suites.iter().map(source).collect::<Vec<_>>()
    };
    field("URIs").into_iter().flat_map(of_address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                        Components: main contrib\n\nTypes: deb\nURIs: http://mirror.example/debian-security\n\
                        Suites: bookworm-security\nComponents: main\n\nTypes: deb\nEnabled: no\n\
                        URIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n";
    const OTHERS: &str = "# deb http://comment.example/debian bookworm main\n\
                          deb [arch=amd64] https://other.example/repo bookworm main\n\
                          deb https://other.example/linux/debian bookworm stable\n\
                          deb http://me:secret@mirror.example/debian bookworm main\n\
                          deb-src http://mirror.example/debian bookworm main\n";

    fn host(list: &str, sources: &str) -> tempfile::TempDir {
        let etc = tempfile::tempdir().unwrap();
        fs::write(etc.path().join("sources.list"), list).unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        fs::write(etc.path().join("sources.list.d/debian.sources"), sources).unwrap();
        fs::write(etc.path().join("sources.list.d/debian.sources.save"), OTHERS).unwrap();
        etc
    }

    #[test]
    fn the_hosts_own_mirrors_of_debian_are_used_and_no_others() {
        let etc = host(OTHERS, HOST);
        let lines = sources(Suite::Bookworm, &[], etc.path()).unwrap();
        let expected = [
            "http://mirror.example/debian bookworm main contrib",
            "http://mirror.example/debian bookworm-updates main contrib",
            "http://mirror.example/debian-security bookworm-security main",
        ]
        .map(|rest| format!("deb [signed-by={KEYRING}] {rest}"));
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_mirror_of_another_release_serves_the_one_that_is_wanted() {
        let etc = host("deb http://mirror.example/debian/ bookworm main", "");
        let lines = sources(Suite::Trixie, &[], etc.path()).unwrap();
        assert_eq!(lines, [format!("deb [signed-by={KEYRING}] http://mirror.example/debian/ trixie main")]);
    }

    #[test]
    fn without_sources_of_debian_its_default_is_used() {
        let etc = host(OTHERS, "");
        let lines = sources(Suite::Trixie, &[], etc.path()).unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with("http://deb.debian.org/debian trixie main"), "{lines:?}");
        assert!(
            lines[2].ends_with("http://deb.debian.org/debian-security trixie-security main"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_named_mirror_goes_before_all_and_must_be_one() {
        let etc = host("", HOST);
        let given = ["http://near.example/d".to_owned(), "deb [trusted=yes] file:/srv/d ./".to_owned()];
        let lines = sources(Suite::Bookworm, &given, etc.path()).unwrap();
        assert_eq!(lines[0], format!("deb [signed-by={KEYRING}] http://near.example/d bookworm main"));
        assert_eq!(lines[1], "deb [trusted=yes] file:/srv/d ./");
        for bad in ["mirror.example", "http://a/ b", "http://me:secret@a/debian", "deb http://a b c\ndeb x"] {
            assert!(sources(Suite::Bookworm, &[bad.to_owned()], etc.path()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hosts_way_to_its_sources_is_carried_over_and_nothing_else() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::Check-Date \"false\";\nAcquire::Languages \"none\";\n\
                    Acquire::http::Proxy \"http://proxy.example:3142\";\n";
        let expected =
            ["Acquire::Check-Date \"false\"", "Acquire::http::Proxy \"http://proxy.example:3142\""];
        assert_eq!(carried_options(dump), expected);
    }
}
