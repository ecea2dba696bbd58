//! Making any root file system one that jobs can run in: the user `runner`, its folders, and
//! nothing that belongs to the machine it was made on.

use std::io;
use std::path::Path;

use super::error::ImageError;
use super::tree::{Kind, Meta, Node, Tree};

/// Counts up when what this module does changes: roots that were kept half-way are then made anew.
pub(crate) const VERSION: &str = "2";

/// The user that jobs run as, as on GitHub's machines.
const USER: &str = "runner";
/// Its ids, as on GitHub's machines.
const USER_ID: u64 = 1001;
/// Its folders.
const FOLDERS: [&str; 4] =
    ["home/runner", "home/runner/work", "home/runner/work/_temp", "opt/hostedtoolcache"];
/// What is filled while a machine runs; what lies in it in an archive is somebody else's.
const EMPTIED: [(&str, u32); 6] =
    [("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755), ("tmp", 0o1777), ("boot", 0o755)];
/// What packages leave behind, and what tells one machine from another.
const REMOVED: [&str; 6] = [
    ".dockerenv",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/cache/apt/archives",
    "var/lib/apt/lists",
];
/// Files of which every machine has its own, or none.
const FILES: [(&str, &str); 5] = [
    // Empty: filled by the agent at each start.
    ("etc/machine-id", ""),
    ("etc/resolv.conf", ""),
    ("etc/fstab", ""),
    ("etc/hostname", "hearth\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
];

/// Dresses the tree. `origin` is for errors.
///
/// # Errors
/// When the tree is no root file system, and when its content can't be read.
pub(crate) fn dress(tree: &mut Tree, origin: &str) -> Result<(), ImageError> {
    if !is_file(tree, "bin/sh") {
        return Err(ImageError::refused(origin, "is no root file system: it has no /bin/sh"));
    }
    REMOVED.iter().for_each(|path| tree.remove(Path::new(path)));
    for (folder, mode) in EMPTIED {
        tree.remove(Path::new(folder));
        tree.put(Path::new(folder), directory(mode, 0));
    }
    // apt wants them to be there.
    tree.put(Path::new("var/cache/apt/archives/partial"), directory(0o755, 0));
    tree.put(Path::new("var/lib/apt/lists/partial"), directory(0o755, 0));
    for (path, content) in FILES {
        put_text(tree, path, content.to_owned(), 0o644);
    }
    add_user(tree).map_err(|error| ImageError::refused(origin, format!("can't be read ({error})")))
}

/// The packages that dpkg has recorded, with versions (`git=1:2.39.5-0`), sorted.
pub(crate) fn packages(tree: &Tree) -> Result<Vec<String>, ImageError> {
    let path = Path::new("var/lib/dpkg/status");
    let status = tree.content(path).map_err(ImageError::io("reading", path))?.unwrap_or_default();
    let mut packages: Vec<String> =
        String::from_utf8_lossy(&status).split("\n\n").filter_map(installed).collect();
    packages.sort();
    Ok(packages)
}

fn installed(paragraph: &str) -> Option<String> {
    let field = |name: &str| {
        let of_field = |line: &str| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned);
        paragraph.lines().find_map(of_field)
    };
    field("Status")?.ends_with(" installed").then_some(())?;
    Some(format!("{}={}", field("Package")?, field("Version")?))
}

/// Adds the user with its group, its folders, and the right to become root, where they are missing.
fn add_user(tree: &mut Tree) -> io::Result<()> {
    let (uid, gid) = match ids(&read_text(tree, "etc/passwd")?) {
        Some(ids) => ids,
        None => {
            let comment = "GitHub Actions runner";
            let shell = if is_file(tree, "bin/bash") { "/bin/bash" } else { "/bin/sh" };
            append(
                tree,
                "etc/passwd",
                &format!("{USER}:x:{USER_ID}:{USER_ID}:{comment}:/home/{USER}:{shell}"),
                0o644,
            )?;
            append(tree, "etc/group", &format!("{USER}:x:{USER_ID}:"), 0o644)?;
            if is_file(tree, "etc/shadow") {
                // No password leads in; sudo asks for none.
                append(tree, "etc/shadow", &format!("{USER}:*:19000:0:99999:7:::"), 0o640)?;
            }
            (USER_ID, USER_ID)
        }
    };
    put_text(tree, "etc/sudoers.d/runner", format!("{USER} ALL=(ALL) NOPASSWD:ALL\n"), 0o440);
    for folder in FOLDERS {
        let meta = Meta { mode: 0o755, uid, gid, ..Meta::default() };
        tree.put(Path::new(folder), Node { kind: Kind::Directory, meta });
    }
    // What `useradd --create-home` copies.
    let skeleton = Path::new("etc/skel");
    for path in tree.below(skeleton) {
        let (Some(node), Ok(name)) = (tree.get(&path).cloned(), path.strip_prefix(skeleton)) else {
            continue;
        };
        let place = Path::new("home").join(USER).join(name);
        if tree.get(&place).is_none() {
            let kind = match node.kind {
                // A content of its own: a hard link would have the owner of the skeleton.
                Kind::File(content) => Kind::File(tree.duplicate(content)),
                other => other,
            };
            tree.put(&place, Node { kind, meta: Meta { uid, gid, ..node.meta } });
        }
    }
    Ok(())
}

/// The ids of the user in a passwd file.
fn ids(passwd: &str) -> Option<(u64, u64)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn directory(mode: u32, owner: u64) -> Node {
    Node { kind: Kind::Directory, meta: Meta { mode, uid: owner, gid: owner, ..Meta::default() } }
}

fn is_file(tree: &Tree, path: &str) -> bool {
    let led = tree.follow(Path::new(path)).and_then(|path| tree.get(&path));
    led.is_some_and(|node| matches!(node.kind, Kind::File(_)))
}

fn read_text(tree: &Tree, path: &str) -> io::Result<String> {
    let content = tree.content(Path::new(path))?.unwrap_or_default();
    String::from_utf8(content).map_err(|_| io::Error::other(format!("/{path} is no text")))
}

fn put_text(tree: &mut Tree, path: &str, text: String, mode: u32) {
    tree.put_file(Path::new(path), text.into_bytes(), Meta { mode, ..Meta::default() });
}

/// Adds a line to a file, which keeps its owner and mode.
fn append(tree: &mut Tree, path: &str, line: &str, mode: u32) -> io::Result<()> {
    let mut text = read_text(tree, path)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    let place = tree.follow(Path::new(path)).unwrap_or_else(|| path.into());
    let meta = tree.get(&place).map_or(Meta { mode, ..Meta::default() }, |node| node.meta.clone());
    tree.put_file(&place, text.into_bytes(), meta);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tree::tests::{FILE, FOLDER, Member, SYMLINK, tar_of};
    use super::super::tree::{Tree, Whiteouts};
    use super::*;

    fn tree_of(members: &[Member<'_>]) -> Tree {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&tar_of(members)).unwrap();
        let mut tree = Tree::default();
        tree.add_layer(file, Whiteouts::Plain, "root.tar").unwrap();
        tree
    }

    const STATUS: &str = "Package: zip\nStatus: install ok installed\nVersion: 3.0-13\n\nPackage: gone\n\
                          Status: deinstall ok config-files\nVersion: 1\n\nPackage: git\nStatus: install ok \
                          installed\nVersion: 1:2.39\nDescription: x\n Version: 9\n";

    const SYSTEM: &[Member<'_>] = &[
        ("usr/bin/dash", FILE, 0o755, 0, "#!"),
        ("usr/bin/sh", SYMLINK, 0o777, 0, "dash"),
        ("bin", SYMLINK, 0o777, 0, "usr/bin"),
        ("etc/passwd", FILE, 0o644, 0, "root:x:0:0::/root:/bin/sh"),
        ("etc/group", FILE, 0o644, 0, "root:x:0:\n"),
        ("etc/shadow", FILE, 0o640, 42, "root:*:1::::::\n"),
        ("etc/skel/.profile", FILE, 0o644, 0, "umask 022\n"),
        ("etc/hostname", FILE, 0o644, 0, "builder\n"),
        ("etc/machine-id", FILE, 0o444, 0, "0123\n"),
        ("dev/sda", tar::EntryType::Block, 0o660, 0, ""),
        ("boot/vmlinuz", FILE, 0o644, 0, "kernel"),
        ("var/lib/dpkg/status", FILE, 0o644, 0, STATUS),
        ("var/cache/apt/archives/", FOLDER, 0o755, 0, ""),
        ("var/cache/apt/archives/a.deb", FILE, 0o644, 0, "x"),
    ];

    #[test]
    fn a_dressed_root_has_the_user_its_folders_and_nothing_of_the_builder() {
        let mut tree = tree_of(SYSTEM);
        dress(&mut tree, "root.tar").unwrap();
        let text = |path: &str| read_text(&tree, path).unwrap();
        assert!(text("etc/passwd").starts_with("root:x:0:0::/root:/bin/sh\nrunner:x:1001:1001:"));
        assert!(text("etc/passwd").ends_with(":/home/runner:/bin/sh\n"));
        assert!(text("etc/shadow").contains("\nrunner:*:"));
        assert_eq!(tree.get(Path::new("etc/shadow")).unwrap().meta.gid, 42);
        assert_eq!(text("etc/sudoers.d/runner"), "runner ALL=(ALL) NOPASSWD:ALL\n");
        assert_eq!(tree.get(Path::new("etc/sudoers.d/runner")).unwrap().meta.mode, 0o440);
        assert_eq!(text("home/runner/.profile"), "umask 022\n");
        let node = |path: &str| tree.get(Path::new(path)).unwrap();
        assert_ne!(
            node("home/runner/.profile").kind,
            node("etc/skel/.profile").kind,
            "hard links have one owner"
        );
        for folder in FOLDERS {
            assert_eq!(tree.get(Path::new(folder)).unwrap().meta.uid, 1001, "{folder}");
        }
        assert_eq!((text("etc/hostname"), text("etc/machine-id")), ("hearth\n".to_owned(), String::new()));
        for gone in ["dev/sda", "boot/vmlinuz", "var/cache/apt/archives/a.deb"] {
            assert!(tree.get(Path::new(gone)).is_none(), "{gone}");
        }
        assert_eq!(tree.get(Path::new("tmp")).unwrap().meta.mode, 0o1777);
        assert_eq!(packages(&tree).unwrap(), ["git=1:2.39", "zip=3.0-13"]);
    }

    #[test]
    fn a_user_that_is_there_keeps_its_ids() {
        let mut members = SYSTEM.to_vec();
        members.push(("etc/passwd", FILE, 0o644, 0, "runner:x:500:600::/home/runner:/bin/zsh\n"));
        let mut tree = tree_of(&members);
        dress(&mut tree, "root.tar").unwrap();
        assert_eq!(read_text(&tree, "etc/passwd").unwrap(), "runner:x:500:600::/home/runner:/bin/zsh\n");
        let home = tree.get(Path::new("home/runner")).unwrap();
        assert_eq!((home.meta.uid, home.meta.gid), (500, 600));
    }

    #[test]
    fn what_is_no_root_file_system_is_refused() {
        let mut tree = tree_of(&[("README", FILE, 0o644, 0, "hello")]);
        let error = dress(&mut tree, "some.tar").unwrap_err().to_string();
        assert!(error.contains("some.tar: is no root file system: it has no /bin/sh"), "{error}");
    }
}
