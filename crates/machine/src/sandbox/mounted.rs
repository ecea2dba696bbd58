//! File systems that the host has mounted below the folders that a machine sees, and what
//! follows for how these folders are shown.
//!
//! Root lays an overlay over each of them, as over the folders themselves. In an ordinary
//! user's namespace the kernel keeps a folder and what is mounted in it together, and
//! refuses an overlay that would show the one without the other. So such a folder is
//! taken apart: its entries are shown one by one.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Mounts below the shown folders that a machine gets: hosts have a handful, and each costs a mount or two.
const MAX_MOUNTS: usize = 64;
/// Entries of a folder that is taken apart: twice what `/etc` has on a large host.
const MAX_ENTRIES: usize = 1024;
/// A kind of mount that is nothing yet, and asks somebody to mount when it is touched.
const ON_DEMAND: &str = "autofs";

/// What of the host's is shown at one place, without a leading `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A whole folder of the distribution, under an overlay. Where that is refused there is no overlay at all.
    Whole(String),
    /// A part of one, under an overlay if it can be, else read-only.
    Part(String),
    /// A file, or a folder with what is mounted in it: read-only.
    Fixed(PathBuf),
    /// A link, as it is.
    Link(PathBuf),
}

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    Link,
    File,
}

/// Where the host has mounted something below the shown folders, and how many more there are.
///
/// `mountinfo` is as in `proc(5)`; parents come before children, and paths are without their leading `/`.
pub(crate) fn below(mountinfo: &str, shown: &[&str], hidden: &[PathBuf]) -> (Vec<PathBuf>, usize) {
    let mut found: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(mount_point)
        .filter_map(|path| path.strip_prefix("/").map(Path::to_path_buf).ok())
        .filter(|path| shown.iter().any(|folder| is_below(path, Path::new(folder))))
        .filter(|path| !hidden.iter().any(|hidden| path.starts_with(hidden)))
        .collect();
    found.sort();
    found.dedup();
    let more = found.len().saturating_sub(MAX_MOUNTS);
    found.truncate(MAX_MOUNTS);
    (found, more)
}

/// How the shown folders are shown.
///
/// `together` says that the kernel keeps folders and what is mounted in them together;
/// `entries` lists a folder of the host's, `kind` says what is at a path.
pub(crate) fn pieces(
    shown: &[&str],
    mounts: &[PathBuf],
    together: bool,
    kind: impl Fn(&Path) -> Option<Kind>,
    entries: impl Fn(&Path) -> Vec<PathBuf>,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let has_mounts = |folder: &Path| mounts.iter().any(|mount| is_below(mount, folder));
    for folder in shown {
        if !(together && has_mounts(Path::new(folder))) {
            pieces.push(Piece::Whole((*folder).to_owned()));
            continue;
        }
        let mut entries = entries(Path::new(folder));
        entries.sort();
        entries.truncate(MAX_ENTRIES);
        pieces.extend(entries.into_iter().filter_map(|path| {
            Some(match kind(&path)? {
                Kind::Link => Piece::Link(path),
                Kind::Folder if !has_mounts(&path) => part(path),
                Kind::Folder | Kind::File => Piece::Fixed(path),
            })
        }));
    }
    if !together {
        pieces.extend(mounts.iter().filter_map(|path| {
            Some(match kind(path)? {
                Kind::Folder => part(path.clone()),
                Kind::File => Piece::Fixed(path.clone()),
                Kind::Link => return None,
            })
        }));
    }
    pieces
}

/// A folder whose name the options of an overlay can hold, or one that is only to be read.
fn part(path: PathBuf) -> Piece {
    match path.to_str() {
        Some(name) if !name.contains([':', ',', '\\']) => Piece::Part(name.to_owned()),
        _ => Piece::Fixed(path),
    }
}

fn is_below(path: &Path, folder: &Path) -> bool {
    path != folder && path.starts_with(folder)
}

/// Where a line's mount is, unless it is one on demand.
fn mount_point(line: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let kind = after.split(' ').next()?;
    (kind != ON_DEMAND).then(|| before.split(' ').nth(4).map(unescape))?
}

/// Spaces, tabs, line ends and backslashes stand there as `\` and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'\\')
            .then(|| bytes.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: [&str; 3] = ["usr", "etc", "opt"];

    fn line(path: &str, kind: &str) -> String {
        format!("36 35 98:0 / {path} rw,noatime shared:1 - {kind} /dev/vdb rw\n")
    }

    fn paths<const N: usize>(paths: [&str; N]) -> Vec<PathBuf> {
        paths.map(PathBuf::from).to_vec()
    }

    #[test]
    fn what_is_mounted_below_shown_folders_is_found_and_nothing_else() {
        let table: String =
            ["/", "/usr", "/usr/local/share", "/usr/local", "/home", "/usrx/y", "/opt/a\\040b"]
                .iter()
                .map(|path| line(path, "ext4"))
                .chain([
                    line("/opt/later", "autofs"),
                    line("/usr/local", "xfs"),
                    line("/etc/docker/x", "tmpfs"),
                ])
                .collect();
        let (found, more) = below(&table, &SHOWN, &paths(["etc/docker"]));
        assert_eq!(found, paths(["opt/a b", "usr/local", "usr/local/share"]));
        assert_eq!(more, 0);
        assert_eq!(below("nonsense\n - \n", &SHOWN, &[]), (Vec::new(), 0));
    }

    #[test]
    fn of_a_host_with_countless_mounts_some_are_shown_and_the_rest_is_counted() {
        let table: String = (0..MAX_MOUNTS + 3).map(|at| line(&format!("/opt/{at}"), "tmpfs")).collect();
        let (found, more) = below(&table, &SHOWN, &[]);
        assert_eq!((found.len(), more), (MAX_MOUNTS, 3));
    }

    fn kind(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_str()?;
        Some(match name {
            "gone" => return None,
            "link" => Kind::Link,
            _ if name.contains('.') => Kind::File,
            _ => Kind::Folder,
        })
    }

    fn entries(folder: &Path) -> Vec<PathBuf> {
        ["share", "local", "link", "file.txt"].iter().map(|name| folder.join(name)).collect()
    }

    #[test]
    fn root_lays_further_overlays_over_what_is_mounted() {
        let mounts = paths(["etc/resolv.conf", "opt/a:b", "opt/gone", "usr/local"]);
        let pieces = pieces(&SHOWN, &mounts, false, kind, entries);
        let whole = |name: &str| Piece::Whole(name.to_owned());
        let expected = [
            whole("usr"),
            whole("etc"),
            whole("opt"),
            Piece::Fixed("etc/resolv.conf".into()),
            Piece::Fixed("opt/a:b".into()),
            Piece::Part("usr/local".to_owned()),
        ];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn an_ordinary_users_folder_with_a_mount_is_taken_apart() {
        let pieces = pieces(&SHOWN, &paths(["usr/local", "usr/share/data"]), true, kind, entries);
        let expected = [
            Piece::Fixed("usr/file.txt".into()),
            Piece::Link("usr/link".into()),
            Piece::Part("usr/local".to_owned()),
            Piece::Fixed("usr/share".into()),
            Piece::Whole("etc".to_owned()),
            Piece::Whole("opt".to_owned()),
        ];
        assert_eq!(pieces, expected);
    }
}
