//! The programs of others that building uses.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::FdFlags;

use super::error::ImageError;
use crate::programs;
use crate::vm::spawn::as_path;

/// Lines of a failed program that its error shows.
const LAST_WORDS: usize = 12;
/// A line is cut here: no line that says something is as long.
const MAX_LINE: u64 = 8 * 1024;

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const MMDEBSTRAP: Program = Program { name: "mmdebstrap", package: "mmdebstrap" };
pub(crate) const APT_GET: Program = Program { name: "apt-get", package: "apt" };
pub(crate) const APT_CACHE: Program = Program { name: "apt-cache", package: "apt" };
pub(crate) const APT_CONFIG: Program = Program { name: "apt-config", package: "apt" };
pub(crate) const DPKG_DEB: Program = Program { name: "dpkg-deb", package: "dpkg" };
pub(crate) const XZ: Program = Program { name: "xz", package: "xz-utils" };
pub(crate) const ZSTD: Program = Program { name: "zstd", package: "zstd" };
pub(crate) const NEWUIDMAP: Program = Program { name: "newuidmap", package: "uidmap" };
pub(crate) const SQFSTAR: Program = Program { name: "sqfstar", package: "squashfs-tools" };
/// Runs something with mounts and processes that are gone when it is.
const UNSHARE: Program = Program { name: "unshare", package: "util-linux" };
/// Starts a program beside a watchman, who ends all of its process group: at once when a line comes
/// over the leash, and once nobody holds the other end, however that went, with ten seconds for the
/// program to clean up. The watchman is nobody's child: a program may wait for its own.
const LEASHED: &str = r#"
    exec 3<"$1"; shift
    ( (trap '' TERM; read -r _ || { kill -TERM 0; sleep 10; }; kill -KILL 0) <&3 >/dev/null 2>&1 & )
    exec "$@" 3<&-
"#;
const WALLS: [&str; 6] = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];

/// Where programs are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    folders: Vec<PathBuf>,
}

/// One call of a program.
#[derive(Debug)]
pub(crate) struct Call {
    program: Program,
    args: Vec<OsString>,
    folder: Option<PathBuf>,
    environment: Vec<(&'static str, OsString)>,
    walled: bool,
}

impl Call {
    pub(crate) fn new(program: Program) -> Self {
        // What is read by us must be in one language.
        let environment = vec![("LC_ALL", "C.UTF-8".into()), ("DEBIAN_FRONTEND", "noninteractive".into())];
        Self { program, args: Vec::new(), folder: None, environment, walled: false }
    }

    /// With mounts and processes of its own, where root may have them. All of them end with it and
    /// with us: a program that mounts and is killed would otherwise leave its mounts behind.
    pub(crate) fn walled(mut self) -> Self {
        self.walled = true;
        self
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    pub(crate) fn environment(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }
}

/// Writes what a program reads.
pub(crate) type Input<'a> = &'a (dyn Fn(&mut dyn Write) -> io::Result<()> + Sync);

impl Tools {
    /// Those of the host.
    pub(crate) fn of_host() -> Self {
        Self { folders: programs::folders() }
    }

    /// Those in one folder alone.
    #[cfg(test)]
    pub(crate) fn only_in(folder: &Path) -> Self {
        Self { folders: vec![folder.to_owned()] }
    }

    /// Those in one folder before those of the host.
    #[cfg(test)]
    pub(crate) fn first_in(folder: &Path) -> Self {
        let mut tools = Self::of_host();
        tools.folders.insert(0, folder.to_owned());
        tools
    }

    /// Where a program is.
    pub(crate) fn find(&self, program: Program) -> Result<PathBuf, ImageError> {
        let missing = || ImageError::Missing { program: program.name, package: program.package };
        programs::find_in(&self.folders, program.name).ok_or_else(missing)
    }

    /// Says which program is missing, before anything is begun that needs it.
    pub(crate) fn must_have(&self, programs: &[Program]) -> Result<(), ImageError> {
        programs.iter().try_for_each(|program| self.find(*program).map(drop))
    }

    /// Runs a program, whose output goes to a file. What it says on standard error is given to `said`.
    pub(crate) fn run(
        &self,
        call: &Call,
        output: Option<&File>,
        input: Option<Input<'_>>,
        said: &mut dyn FnMut(&str),
    ) -> Result<(), ImageError> {
        let path = self.find(call.program)?;
        let failed = |error| ImageError::io("running", &path)(error);
        let (leash, mut held) = io::pipe().map_err(failed)?;
        let mut command = self.command(&path, call.walled, &leash).map_err(failed)?;
        command.args(&call.args).envs(call.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &call.folder {
            command.current_dir(folder);
        }
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(match output {
            Some(file) => Stdio::from(file.try_clone().map_err(failed)?),
            None => Stdio::null(),
        });
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(failed)?;
        drop(leash);
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let mut last = Vec::new();
        let written = std::thread::scope(|scope| {
            let writer = input.zip(stdin).map(|(input, mut stdin)| scope.spawn(move || input(&mut stdin)));
            if let Some(stderr) = stderr {
                lines(stderr, &mut |line| {
                    if last.len() == LAST_WORDS {
                        last.remove(0);
                    }
                    last.push(line.to_owned());
                    said(line);
                });
            }
            writer.map_or(Ok(()), |writer| writer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
        });
        let status = child.wait().map_err(failed)?;
        // What it left running goes too; a watchman who is gone has nobody to watch.
        let _ = held.write_all(b"\n");
        if !status.success() {
            let program = call.program.name;
            return Err(ImageError::Program { program, status: status.to_string(), said: last });
        }
        written.map_err(|error| ImageError::io("writing to", &path)(error))
    }

    /// Runs a program for what it prints.
    pub(crate) fn output(&self, call: &Call) -> Result<Vec<u8>, ImageError> {
        let path = Path::new(call.program.name);
        let failed = || ImageError::io("reading the output of", path);
        let file = tempfile::tempfile().map_err(failed())?;
        self.run(call, Some(&file), None, &mut |_| {})?;
        let mut printed = Vec::new();
        let mut file = file;
        io::Seek::rewind(&mut file).and_then(|()| file.read_to_end(&mut printed)).map_err(failed())?;
        Ok(printed)
    }

    /// The program, so that it ends with all that it started when this process does: by walls where there
    /// are any, and by its leash.
    fn command(&self, program: &Path, walled: bool, leash: &io::PipeReader) -> io::Result<Command> {
        // Whoever else inherits this end of the pipe keeps nobody alive.
        rustix::io::fcntl_setfd(leash, FdFlags::empty())?;
        let mut words: Vec<OsString> = Vec::new();
        if let Some(unshare) = if walled { self.walls() } else { None } {
            words.push(unshare.into());
            words.extend(WALLS.map(OsString::from));
        }
        words.push(program.into());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LEASHED, "leash", &as_path(leash)]).args(words).process_group(0);
        Ok(command)
    }

    /// The program that gives walls, if they are to be had: not by an ordinary user, nor by root in
    /// most containers.
    fn walls(&self) -> Option<PathBuf> {
        let unshare = self.find(UNSHARE).ok()?;
        let tried = Command::new(&unshare).args(WALLS).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success()).then_some(unshare)
    }
}

/// Gives each line, without what ends it; broken UTF-8 is shown as such.
fn lines(from: impl Read, each: &mut dyn FnMut(&str)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line), Ok(read) if read > 0) {
        let text = String::from_utf8_lossy(&line);
        // A line that draws itself anew is shown as it is in the end.
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        if !text.is_empty() {
            each(&text);
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: Program = Program { name: "sh", package: "dash" };

    fn sh(script: &str) -> Call {
        Call::new(SH).args(["-c", script])
    }

    #[test]
    fn a_failed_program_is_named_with_its_status_and_last_words() {
        let script = "for i in $(seq 20); do echo line $i >&2; done; exit 7";
        let error = Tools::of_host().run(&sh(script), None, None, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("sh failed (exit status: 7)"), "{error}");
        assert!(
            error.contains("line 20") && error.contains("line 9\n") && !error.contains("line 8\n"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_met_a_full_disk_says_what_to_do() {
        let script = "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2";
        let error = Tools::of_host().run(&sh(script), None, None, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("make room, or name a data folder on another disk"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let tools = Tools { folders: Vec::new() };
        let error = tools.run(&Call::new(SQFSTAR), None, None, &mut |_| {}).unwrap_err().to_string();
        assert_eq!(
            error,
            "sqfstar is not installed; install the package squashfs-tools (Debian, Ubuntu: apt-get install \
             squashfs-tools)"
        );
    }

    #[test]
    fn a_program_ends_with_its_leash_and_so_do_those_that_it_started() {
        let (leash, held) = io::pipe().unwrap();
        let script = "trap 'echo cleans up; exit 3' TERM; sleep 1000 & echo started; wait";
        let mut command = Tools::of_host().command(Path::new("/bin/sh"), false, &leash).unwrap();
        let mut child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        drop(held);
        assert_eq!(child.wait().unwrap().code(), Some(3));
        // Its output ends when nobody can write to it any more.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "cleans up\n");
    }

    #[test]
    fn a_walled_program_leaves_neither_mounts_nor_processes() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let script = format!("mount -t tmpfs none {at} && touch {at}/inside && (sleep 1000 & echo $! >&2)");
        let mut said = Vec::new();
        let call = sh(&script).walled();
        if Tools::of_host().walls().is_none() {
            println!("not root: no walls to be had");
            return;
        }
        Tools::of_host().run(&call, None, None, &mut |line| said.push(line.to_owned())).unwrap();
        assert!(!folder.path().join("inside").exists());
        // Standard error ends when nobody can write to it any more: also the process behind is gone.
        assert_eq!(said.len(), 1);
    }

    #[test]
    fn a_program_reads_more_than_a_pipe_holds_while_it_talks() {
        let input = |to: &mut dyn Write| to.write_all(&vec![b'x'; 1 << 20]);
        let mut heard = Vec::new();
        let script = "for i in $(seq 5000); do echo talk >&2; done; wc -c >&2";
        let mut said = |line: &str| heard.push(line.to_owned());
        Tools::of_host().run(&sh(script), None, Some(&input), &mut said).unwrap();
        assert_eq!(heard.len(), 5001);
        assert_eq!(heard.last().map(String::as_str), Some("1048576"));
    }
}
