//! What is the same inside of every virtual machine: folders, and what the agent is told by the kernel's command line.

use crate::Layout;

/// The folders of a job, where nobody wishes others: those of GitHub's machines.
pub(crate) fn usual_layout() -> Layout {
    Layout {
        home: "/home/runner".to_owned(),
        work: "/home/runner/work".to_owned(),
        temp: "/home/runner/work/_temp".to_owned(),
        tool_cache: "/opt/hostedtoolcache".to_owned(),
    }
}

/// Where the guest writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scratch {
    /// In its memory.
    Memory {
        /// The bound.
        mib: u64,
    },
    /// On this disk, which has ext4.
    Disk(&'static str),
}

/// The part of the command line that the agent reads, and that no image knows.
///
/// `channel` is `port:NAME` or `vsock:PORT`.
pub(crate) fn agent_arguments(layout: &Layout, scratch: &Scratch, channel: &str) -> Result<String, String> {
    let folders = [&layout.home, &layout.work, &layout.temp, &layout.tool_cache];
    let unfit = |folder: &&&String| {
        let plain = folder.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':' && byte != b'"');
        !folder.starts_with('/') || !plain || folder.split('/').any(|part| part == "..")
    };
    if let Some(folder) = folders.iter().find(unfit) {
        return Err(format!("{folder:?} is not an absolute path in plain letters"));
    }
    let scratch = match scratch {
        Scratch::Memory { mib } => format!("tmpfs:{mib}"),
        Scratch::Disk(device) => (*device).to_owned(),
    };
    let dirs = folders.map(String::as_str).join(":");
    Ok(format!("HOME={} hearth.scratch={scratch} hearth.agent={channel} hearth.dirs={dirs}", layout.home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_told_where_things_are() {
        let line = agent_arguments(&usual_layout(), &Scratch::Disk("/dev/vdb"), "port:agent").unwrap();
        assert_eq!(
            line,
            "HOME=/home/runner hearth.scratch=/dev/vdb hearth.agent=port:agent \
             hearth.dirs=/home/runner:/home/runner/work:/home/runner/work/_temp:/opt/hostedtoolcache"
        );
    }

    #[test]
    fn a_folder_cannot_add_to_the_command_line() {
        for folder in ["relative", "/a b", "/a:/b", "/a/../b", "/a\"init=x"] {
            let layout = Layout { work: folder.to_owned(), ..usual_layout() };
            let refused = agent_arguments(&layout, &Scratch::Memory { mib: 1 }, "port:agent");
            assert!(refused.unwrap_err().contains(folder.trim_matches('"').split('"').next().unwrap()));
        }
    }
}
