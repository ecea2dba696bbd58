//! A file tree in memory, read from tar layers and written as one tar.
//!
//! Nothing is unpacked: owners, devices, and extended attributes need no rights this way, and no
//! name in an archive can reach a file of the host. Contents stay where the layers have them.

mod bounded;
mod read;
mod write;

pub(crate) use read::Whiteouts;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Links followed in one path: as many as Linux follows.
const MAX_LINKS: usize = 40;
/// Members of all layers together: ten times the largest images of CI systems.
const MAX_MEMBERS: usize = 10_000_000;
/// Largest file that is read into memory to be changed or looked at: kernels and modules are far below.
const MAX_READ: u64 = 256 * 1024 * 1024;

/// The tree. Paths are relative to its root and have neither `.` nor `..`.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    contents: Vec<Content>,
    layers: Vec<File>,
    members: usize,
    attribute_bytes: usize,
}

/// One name.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) meta: Meta,
}

/// What every kind of node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Permission bits, with set-user-id, set-group-id, and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: u64,
    /// Names and values.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// A regular file. Several names with one content are hard links.
    File(ContentId),
    Symlink(OsString),
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// Names a content of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContentId(usize);

#[derive(Clone, Debug)]
enum Content {
    Stored { layer: usize, offset: u64, bytes: u64 },
    Made(Vec<u8>),
}

impl Content {
    fn bytes(&self) -> u64 {
        match self {
            Content::Stored { bytes, .. } => *bytes,
            Content::Made(content) => content.len() as u64,
        }
    }
}

impl Tree {
    /// The node with this name itself, be it a link.
    pub(crate) fn get(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// All names, those of directories before those in them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), node))
    }

    /// The names in a directory and below it.
    pub(crate) fn below(&self, folder: &Path) -> Vec<PathBuf> {
        let names = self.nodes.range(folder.to_owned()..).skip_while(|(path, _)| path.as_path() == folder);
        names.take_while(|(path, _)| path.starts_with(folder)).map(|(path, _)| path.clone()).collect()
    }

    /// Removes a name, and all below it.
    pub(crate) fn remove(&mut self, path: &Path) {
        for below in self.below(path) {
            self.nodes.remove(&below);
        }
        self.nodes.remove(path);
    }

    /// Puts a node at a path, instead of what is there. A directory keeps what is in it.
    pub(crate) fn put(&mut self, path: &Path, node: Node) {
        if node.kind != Kind::Directory || self.get(path).is_some_and(|there| there.kind != Kind::Directory) {
            self.remove(path);
        }
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            if self.get(parent).is_none_or(|there| there.kind != Kind::Directory) {
                let meta = Meta { mode: 0o755, ..Meta::default() };
                self.nodes.insert(parent.to_owned(), Node { kind: Kind::Directory, meta });
            }
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Puts a file with this content at a path.
    pub(crate) fn put_file(&mut self, path: &Path, content: Vec<u8>, meta: Meta) {
        let id = self.add(Content::Made(content));
        self.put(path, Node { kind: Kind::File(id), meta });
    }

    /// Where a path leads when links are followed as if the tree were the root of a system.
    /// `None`: a part is missing, or links go round.
    pub(crate) fn follow(&self, path: &Path) -> Option<PathBuf> {
        let mut left: Vec<OsString> = parts(path);
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            match &self.nodes.get(&next)?.kind {
                Kind::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.as_bytes().starts_with(b"/") {
                        at = PathBuf::new();
                    }
                    left.extend(parts(Path::new(target)));
                }
                _ => at = next,
            }
        }
        Some(at)
    }

    /// The content of a file, following links. `None`: there is no such file.
    pub(crate) fn content(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(Node { kind: Kind::File(id), .. }) =
            self.follow(path).and_then(|path| self.nodes.get(&path))
        else {
            return Ok(None);
        };
        if self.contents[id.0].bytes() > MAX_READ {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{}: too large", path.display()),
            ));
        }
        let mut content = Vec::new();
        self.open(*id)?.read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// The same bytes as a content of its own.
    pub(crate) fn duplicate(&mut self, content: ContentId) -> ContentId {
        self.add(self.contents[content.0].clone())
    }

    fn add(&mut self, content: Content) -> ContentId {
        self.contents.push(content);
        ContentId(self.contents.len() - 1)
    }

    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>> {
        match &self.contents[id.0] {
            Content::Made(content) => Ok(Box::new(content.as_slice())),
            Content::Stored { layer, offset, bytes } => {
                let mut file = &self.layers[*layer];
                file.seek(SeekFrom::Start(*offset))?;
                Ok(Box::new(file.take(*bytes)))
            }
        }
    }
}

/// The parts of a path, the first one last; neither `/` nor `.`.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
pub(crate) mod tests;
