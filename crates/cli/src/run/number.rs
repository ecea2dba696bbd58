//! `github.run_id` and `github.run_number` for runs on this data folder.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use model::RunId;

/// A new run's id: microseconds of the clock, so ids grow and fit a JavaScript number.
/// The folder of the run is made here, which also proves that no other run has the id.
pub(crate) fn new_run(data: &Path) -> Result<RunId> {
    let runs = data.join("runs");
    std::fs::create_dir_all(&runs).with_context(|| format!("can't make {}", runs.display()))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut id = u64::try_from(since.as_micros()).unwrap_or(u64::MAX / 2);
    loop {
        let folder = runs.join(id.to_string());
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(RunId(id)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => id += 1,
            Err(error) => return Err(error).with_context(|| format!("can't make {}", folder.display())),
        }
    }
}

/// Counts the runs of one workflow of one repository from 1.
pub(crate) fn next_number(data: &Path, repository: &str, workflow_path: &str) -> Result<u64> {
    let folder = data.join("run-numbers");
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let path = folder.join(file_name(repository, workflow_path));
    let attempt = || -> std::io::Result<u64> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let number = text.trim().parse::<u64>().unwrap_or(0) + 1;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{number}\n").as_bytes())?;
        Ok(number)
    };
    attempt().with_context(|| format!("can't count the run in {}", path.display()))
}

/// A file name that two different workflows never share: every byte but letters and digits is spelled out.
fn file_name(repository: &str, workflow_path: &str) -> String {
    let mut name = String::new();
    for byte in format!("{repository}\n{workflow_path}").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("_{byte:02x}")),
        }
    }
    // Longer names than file systems take are cut; two so long paths may then share a counter.
    name.truncate(200);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_workflow_are_counted_from_one_and_apart_from_others() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(next_number(data.path(), "o/r", "a.yml").unwrap(), 1);
        assert_eq!(next_number(data.path(), "o/r", "a.yml").unwrap(), 2);
        assert_eq!(next_number(data.path(), "o/r", "ä.yml").unwrap(), 1);
    }

    #[test]
    fn two_runs_never_share_an_id() {
        let data = tempfile::tempdir().unwrap();
        let first = new_run(data.path()).unwrap();
        let second = new_run(data.path()).unwrap();
        assert!(second > first);
    }
}
