//! What the host tells the init of a machine, on the kernel's command line.

use std::path::PathBuf;

/// Where the root is, what is written to, how the host is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Device of the read-only root (`root=/dev/vda`).
    pub(super) root: PathBuf,
    /// Its file system (`rootfstype=squashfs`).
    pub(super) root_kind: String,
    /// Where writes go (`hearth.scratch=`).
    pub(super) scratch: Scratch,
    /// Where the host is met (`hearth.agent=`).
    pub(super) channel: Channel,
    /// Folders to make (`hearth.dirs=/a:/b`).
    pub(super) folders: Vec<PathBuf>,
    /// The image's own init (`hearth.init=/sbin/init`), which becomes the first process, with the agent beside it.
    pub(super) init: Option<PathBuf>,
}

/// Where the machine's writes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scratch {
    /// Into memory, at most so much (`tmpfs:512`).
    Memory {
        /// The bound.
        mib: u64,
    },
    /// To an ext4 file system on this device (`/dev/vdb`).
    Disk(PathBuf),
}

/// Where the host is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// On the virtio serial port of this name (`port:agent`).
    Port(String),
    /// As it connects to this vsock port (`vsock:1024`).
    Vsock(u32),
}

impl Settings {
    /// Reads a command line; of what is said twice, the last counts. The error says what is missing or wrong.
    pub(super) fn parse(command_line: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let mut words =
                command_line.split_ascii_whitespace().rev().filter_map(|word| word.split_once('='));
            words.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let needed = |name: &str| value(name).ok_or_else(|| format!("the kernel was not told {name}="));
        let folders = value("hearth.dirs").unwrap_or_default().split(':');
        Ok(Self {
            root: needed("root")?.into(),
            root_kind: needed("rootfstype")?.to_owned(),
            scratch: scratch(needed("hearth.scratch")?)?,
            channel: channel(needed("hearth.agent")?)?,
            folders: folders.filter(|folder| folder.starts_with('/')).map(PathBuf::from).collect(),
            init: value("hearth.init").map(init).transpose()?,
        })
    }
}

fn init(text: &str) -> Result<PathBuf, String> {
    text.starts_with('/')
        .then(|| text.into())
        .ok_or_else(|| format!("hearth.init={text} is no absolute path"))
}

fn scratch(text: &str) -> Result<Scratch, String> {
    match text.strip_prefix("tmpfs:").map(str::parse) {
        Some(Ok(mib)) => Ok(Scratch::Memory { mib }),
        None if text.starts_with("/dev/") => Ok(Scratch::Disk(text.into())),
        _ => Err(format!("hearth.scratch={text} is neither a device nor tmpfs:MIB")),
    }
}

fn channel(text: &str) -> Result<Channel, String> {
    let wrong = || format!("hearth.agent={text} is neither port:NAME nor vsock:PORT");
    match text.split_once(':') {
        Some(("port", name)) if !name.is_empty() => Ok(Channel::Port(name.to_owned())),
        Some(("vsock", port)) => port.parse().map(Channel::Vsock).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read_and_the_last_word_counts() {
        let line = "console=ttyS0 root=/dev/sda rootfstype=squashfs ro quiet root=/dev/vda \
                    hearth.scratch=tmpfs:64 hearth.agent=port:agent hearth.dirs=/home/runner:/opt/x\n";
        let settings = Settings {
            root: "/dev/vda".into(),
            root_kind: "squashfs".to_owned(),
            scratch: Scratch::Memory { mib: 64 },
            channel: Channel::Port("agent".to_owned()),
            folders: vec!["/home/runner".into(), "/opt/x".into()],
            init: None,
        };
        assert_eq!(Settings::parse(line), Ok(settings));
        let line = line.replace("tmpfs:64", "/dev/vdb").replace("port:agent", "vsock:1024");
        let settings = Settings::parse(&line).unwrap();
        assert_eq!(settings.scratch, Scratch::Disk("/dev/vdb".into()));
        assert_eq!(settings.channel, Channel::Vsock(1024));
        let settings = Settings::parse(&format!("{line} hearth.init=/sbin/init")).unwrap();
        assert_eq!(settings.init, Some("/sbin/init".into()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (line, word) in [
            ("root=/dev/vda", "rootfstype="),
            ("root=a rootfstype=b hearth.scratch=tmpfs:x hearth.agent=port:a", "tmpfs:x"),
            ("root=a rootfstype=b hearth.scratch=/dev/vdb hearth.agent=port:", "port:"),
            ("root=a rootfstype=b hearth.scratch=/dev/vdb", "hearth.agent="),
            (
                "root=a rootfstype=b hearth.scratch=/dev/vdb hearth.agent=port:a hearth.init=init",
                "hearth.init=init",
            ),
        ] {
            let error = Settings::parse(line).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
