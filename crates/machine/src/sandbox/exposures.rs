//! Which host folders a machine should see so that the user's own toolchains work in it.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::visible;

/// What to show, and what to tell the job of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposures {
    /// For [`crate::MachineSpec::expose`].
    pub paths: Vec<PathBuf>,
    /// Variables that let the toolchains find themselves although `HOME` is another.
    pub env: Vec<(String, String)>,
}

/// A toolchain manager: what of its folder is shown, and the variable that names the folder.
struct Manager {
    folder: &'static str,
    parts: &'static [&'static str],
    variable: Option<&'static str>,
}

/// The usual managers. Only the parts that hold programs: registries, credentials and
/// caches of the same folders stay out.
const MANAGERS: [Manager; 10] = [
    Manager { folder: ".cargo", parts: &["bin"], variable: None },
    Manager {
        folder: ".rustup",
        parts: &["toolchains", "settings.toml", "update-hashes"],
        variable: Some("RUSTUP_HOME"),
    },
    Manager {
        folder: ".pyenv",
        parts: &["bin", "shims", "versions", "libexec", "completions", "pyenv.d", "plugins", "version"],
        variable: Some("PYENV_ROOT"),
    },
    Manager {
        folder: ".rbenv",
        parts: &["bin", "shims", "versions", "libexec", "rbenv.d", "plugins", "version"],
        variable: Some("RBENV_ROOT"),
    },
    Manager {
        folder: ".nvm",
        parts: &["versions", "alias", "nvm.sh", "nvm-exec"],
        variable: Some("NVM_DIR"),
    },
    Manager { folder: ".volta", parts: &["bin", "tools"], variable: Some("VOLTA_HOME") },
    Manager { folder: ".sdkman", parts: &["candidates"], variable: None },
    Manager { folder: ".deno", parts: &["bin"], variable: None },
    Manager { folder: ".bun", parts: &["bin"], variable: None },
    Manager {
        folder: ".local",
        parts: &["bin", "pipx/venvs", "share/uv/python", "share/mise/installs"],
        variable: None,
    },
];

/// The toolchains of the user whose search path and home these are.
///
/// Of `path`, folders that a machine would not have anyway are shown if they hold
/// programs only by their name (`bin`, `sbin`, `shims`); of `home`, the programs of the
/// usual toolchain managers, and never a credential.
pub fn default_exposures(path: &OsStr, home: &Path) -> Exposures {
    let mut exposures = Exposures::default();
    for manager in MANAGERS {
        let folder = home.join(manager.folder);
        let parts = manager.parts.iter().map(|part| folder.join(part)).filter(|part| part.exists());
        let before = exposures.paths.len();
        exposures.paths.extend(parts);
        if let Some(variable) = manager.variable
            && exposures.paths.len() > before
            && let Some(folder) = folder.to_str()
        {
            exposures.env.push((variable.to_owned(), folder.to_owned()));
        }
    }
    for folder in std::env::split_paths(path) {
        let programs =
            ["bin", "sbin", "shims"].iter().any(|name| folder.file_name() == Some(OsStr::new(name)));
        let known = folder.strip_prefix("/").is_ok_and(visible::is_shown);
        if programs
            && !known
            && is_plain(&folder)
            && folder.is_dir()
            && !MACHINES_OWN.iter().any(|own| folder.starts_with(own))
        {
            exposures.paths.push(folder);
        }
    }
    exposures.paths = outermost(&exposures.paths);
    exposures
}

/// Where a machine has folders of its own that nothing of the host may take the place of.
const MACHINES_OWN: [&str; 7] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/run", "/var/tmp"];

/// Whether a path is absolute and climbs nowhere.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// Why a folder may not be exposed, if it may not.
///
/// `layout` are the machine's own folders, `data` is Hearth's.
pub(crate) fn refusal(path: &Path, layout: &[&str], data: &Path) -> Option<String> {
    let shown = path.display();
    if !is_plain(path) {
        return Some(format!("{shown} is not an absolute path without `..`"));
    }
    if path == Path::new("/") || MACHINES_OWN.iter().any(|own| path.starts_with(own) && !data_like(path, own))
    {
        return Some(format!("{shown} would take the place of a folder of the machine's own"));
    }
    if let Some(own) = layout.iter().find(|own| Path::new(own).starts_with(path)) {
        return Some(format!("{shown} would take the place of the machine's {own}"));
    }
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf());
    if real.starts_with(&data) || data.starts_with(&real) {
        return Some(format!("{shown} holds Hearth's data folder {}", data.display()));
    }
    None
}

/// Below `/tmp` and `/run` a folder may be shown if it is not those themselves.
fn data_like(path: &Path, own: &str) -> bool {
    ["/tmp", "/var/tmp", "/run"].contains(&own) && path != Path::new(own)
}

/// The paths without those that lie in another of them.
pub(crate) fn outermost(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut sorted = paths.to_vec();
    sorted.sort();
    sorted.dedup();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in sorted {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_home_shows_its_toolchains_and_never_its_credentials() {
        let home = tempfile::tempdir().expect("a folder");
        for folder in [".cargo/bin", ".cargo/registry", ".rustup/toolchains", ".ssh", ".aws", "bin"] {
            fs::create_dir_all(home.path().join(folder)).expect("a folder");
        }
        for file in [".cargo/credentials.toml", ".netrc", ".npmrc", ".rustup/settings.toml"] {
            fs::write(home.path().join(file), "").expect("a file");
        }
        let exposures = default_exposures(OsStr::new("/usr/bin:relative/bin"), home.path());
        let names: Vec<_> =
            exposures.paths.iter().map(|path| path.strip_prefix(home.path()).expect("below home")).collect();
        assert_eq!(
            names,
            [Path::new(".cargo/bin"), Path::new(".rustup/settings.toml"), Path::new(".rustup/toolchains")]
        );
        let rustup = home.path().join(".rustup").to_str().expect("text").to_owned();
        assert_eq!(exposures.env, [("RUSTUP_HOME".to_owned(), rustup)]);
    }

    #[test]
    fn a_folder_that_would_hide_the_machine_or_show_the_data_is_refused() {
        let data = tempfile::tempdir().expect("a folder");
        let layout = ["/home/runner", "/home/runner/work"];
        for path in ["/", "/proc", "/dev/shm", "/home", "/home/runner", "relative", "/opt/../root", "/tmp"] {
            assert!(refusal(Path::new(path), &layout, data.path()).is_some(), "{path}");
        }
        assert!(refusal(&data.path().join("cache"), &layout, data.path()).is_some());
        assert!(refusal(Path::new("/home/somebody/.cargo/bin"), &layout, data.path()).is_none());
    }

    #[test]
    fn a_folder_within_another_is_shown_once() {
        let paths = ["/a/b", "/a", "/ab", "/a"].map(PathBuf::from);
        assert_eq!(outermost(&paths), [PathBuf::from("/a"), PathBuf::from("/ab")]);
    }
}
