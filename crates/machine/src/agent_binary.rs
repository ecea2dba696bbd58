//! The agent for machines with a kernel of their own: `build.rs` makes it, and this binary carries it.

/// A static program that is the first process of a virtual machine.
#[must_use]
pub fn agent_binary() -> &'static [u8] {
    include_bytes!(env!("HEARTH_AGENT_BINARY"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn the_agent_runs_without_any_library() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        std::fs::write(&path, super::agent_binary()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // The loader lists what a dynamic program needs, and fails for a static one.
        let listed = Command::new("ldd").arg(&path).output().unwrap();
        assert!(!String::from_utf8_lossy(&listed.stdout).contains("libc.so"), "{listed:?}");
        let said = Command::new(&path).output().unwrap();
        assert!(String::from_utf8_lossy(&said.stderr).contains("started by Hearth"), "{said:?}");
    }
}
