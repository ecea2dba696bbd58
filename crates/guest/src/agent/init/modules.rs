//! Loads the kernel's modules that came along.

use std::fs::{self, File};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use super::{BootError, Doing};

/// Folder of the modules, uncompressed.
const MODULES: &str = "/modules";
/// Names of their files, one a line, each after those that it needs.
const ORDER: &str = "/modules/order";

/// Loads all in their order. One that the kernel does not want is told to `say`: whether the
/// machine can do without shows later.
pub(super) fn load_all(say: fn(&str)) -> Result<(), BootError> {
    let order = fs::read_to_string(ORDER).doing(|| format!("reading {ORDER}"))?;
    for name in order.split_ascii_whitespace() {
        let path = format!("{MODULES}/{name}");
        let module = File::open(&path).doing(|| format!("opening {path}"))?;
        match finit_module(&module, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => say(&format!("hearth agent: the kernel refuses the module {name}: {error}")),
        }
    }
    Ok(())
}
