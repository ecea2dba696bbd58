//! Room on the data folder's disk: while there is little, nothing new starts.
//!
//! ```text
//!            less than `stop-below`, or few files
//!    enough ─────────────────────────────────────► low: no job starts, /ready says why
//!       ▲                                            │
//!       └──── more than `resume-above`, and files ───┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use scheduler::Engine;
use scheduler::queue::{Closed, Limits};
use serde::Deserialize;
use server::health::Check;
use server::metrics::Metrics;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often it is looked: a job that writes 200 MB a second gets through 1 GB meanwhile, the usual mark.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A mark is passed again with so many times the files.
const FILES_TO_RESUME: u64 = 2;

const MIB: u64 = 1 << 20;

/// Marks of the disk, in `hearth.yaml`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct DiskConfig {
    /// Below so many MiB no job starts.
    stop_below: u64,
    /// Above so many MiB they do again.
    resume_above: u64,
    /// Below so many files (inodes) no job starts.
    files: u64,
}

impl Default for DiskConfig {
    /// What jobs that run may still need; some thousand files are one `npm install`.
    fn default() -> DiskConfig {
        DiskConfig { stop_below: 1024, resume_above: 2048, files: 20_000 }
    }
}

impl DiskConfig {
    /// Whether both marks can be passed.
    pub(super) fn check(&self) -> Result<()> {
        if self.resume_above < self.stop_below {
            bail!(
                "serve.disk of the configuration: resume-above ({} MiB) is less than stop-below ({} MiB)",
                self.resume_above,
                self.stop_below
            );
        }
        Ok(())
    }

    /// Bytes that artifacts and caches of running jobs leave: the store and the logs go on with them.
    pub(super) fn least_free(&self) -> u64 {
        self.stop_below.saturating_mul(MIB) / 2
    }
}

/// How a disk stands.
#[derive(Clone, Copy, Debug)]
struct Room {
    free: u64,
    size: u64,
    free_files: u64,
    /// 0 where the file system has no such bound.
    all_files: u64,
}

impl Room {
    fn of(folder: &Path) -> std::io::Result<Room> {
        let found = rustix::fs::statvfs(folder)?;
        Ok(Room {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            size: found.f_blocks.saturating_mul(found.f_frsize),
            free_files: found.f_favail,
            all_files: found.f_files,
        })
    }
}

/// Why nothing new may start, if so.
fn judge(marks: &DiskConfig, room: &Room, was_low: bool) -> Option<String> {
    let wanted = if was_low { marks.resume_above } else { marks.stop_below };
    if room.free < wanted.saturating_mul(MIB) {
        return Some(format!("{} MiB left, {wanted} MiB wanted", room.free / MIB));
    }
    let wanted = if was_low { marks.files.saturating_mul(FILES_TO_RESUME) } else { marks.files };
    if room.all_files > 0 && room.free_files < wanted {
        return Some(format!("room for {} files left, {wanted} wanted", room.free_files));
    }
    None
}

/// Looks at the disk. Clones share what was found.
#[derive(Clone)]
pub(super) struct Disk {
    folder: PathBuf,
    marks: DiskConfig,
    low: Arc<Mutex<Option<String>>>,
}

impl Disk {
    /// Looks for the first time.
    pub(super) fn open(folder: &Path, marks: DiskConfig) -> Disk {
        let disk = Disk { folder: folder.to_owned(), marks, low: Arc::default() };
        if let Some(reason) = disk.look() {
            warn!(reason, "the disk is nearly full: no job starts");
        }
        disk
    }

    /// Why nothing new may start now, if so. A disk that can't be looked at is as one without room.
    fn look(&self) -> Option<String> {
        let mut low = self.low();
        *low = match Room::of(&self.folder) {
            Ok(room) => judge(&self.marks, &room, low.is_some()),
            Err(error) => Some(format!("can't look at the disk of {}: {error}", self.folder.display())),
        };
        low.clone()
    }

    /// Why nothing new may start, for the queue.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.low().clone().map(Closed::DiskLow)
    }

    /// Opens and closes the queue, until `stop`.
    pub(super) async fn watch(self, engine: Engine, stop: CancellationToken) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let before = self.low().clone();
            let now = self.look();
            if now == before {
                continue;
            }
            match (&before, &now) {
                (None, Some(reason)) => warn!(reason, "the disk is nearly full: no job starts"),
                (Some(_), None) => info!("the disk has room again: jobs start"),
                _ => {}
            }
            engine.limit(move |limits| close(limits, now)).await;
        }
    }

    /// Sets the numbers of the disk whenever they are read.
    pub(super) fn measured(&self, metrics: &Metrics) {
        let disk = self.clone();
        metrics.ask(move |metrics| {
            if let Ok(room) = Room::of(&disk.folder) {
                metrics.disk(room.free, room.size, room.free_files);
            }
            metrics.closed("disk", disk.low().is_some());
        });
    }

    fn low(&self) -> MutexGuard<'_, Option<String>> {
        self.low.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that is being stopped stays closed.
fn close(limits: &mut Limits, low: Option<String>) {
    if limits.closed != Some(Closed::Draining) {
        limits.closed = low.map(Closed::DiskLow);
    }
}

#[async_trait]
impl Check for Disk {
    fn name(&self) -> &str {
        "disk"
    }

    async fn check(&self) -> Result<(), String> {
        let disk = self.clone();
        let looked = tokio::task::spawn_blocking(move || disk.look()).await;
        match looked.map_err(|error| error.to_string())? {
            Some(reason) => Err(format!("{reason}: make room, or lower serve.disk in the configuration")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: DiskConfig = DiskConfig { stop_below: 10, resume_above: 20, files: 100 };

    fn low(free_mib: u64, free_files: u64, was_low: bool) -> Option<String> {
        let room = Room { free: free_mib * MIB, size: 100 * MIB, free_files, all_files: 1000 };
        judge(&MARKS, &room, was_low)
    }

    #[test]
    fn a_disk_is_low_below_one_mark_until_it_is_above_the_other() {
        assert_eq!(low(10, 500, false), None);
        assert_eq!(low(9, 500, false).unwrap(), "9 MiB left, 10 MiB wanted");
        assert_eq!(low(19, 500, true).unwrap(), "19 MiB left, 20 MiB wanted");
        assert_eq!(low(20, 500, true), None);
    }

    #[test]
    fn few_files_are_as_bad_as_few_bytes_where_they_are_bounded() {
        assert_eq!(low(50, 99, false).unwrap(), "room for 99 files left, 100 wanted");
        assert_eq!(low(50, 199, true).unwrap(), "room for 199 files left, 200 wanted");
        assert_eq!(low(50, 200, true), None);
        let unbounded = Room { free: 50 * MIB, size: 100 * MIB, free_files: 0, all_files: 0 };
        assert_eq!(judge(&MARKS, &unbounded, false), None);
    }

    #[test]
    fn room_on_the_disk_opens_no_server_that_is_being_stopped() {
        let mut limits = Limits { closed: Some(Closed::Draining), ..Limits::default() };
        close(&mut limits, None);
        assert_eq!(limits.closed, Some(Closed::Draining));
        limits.closed = Some(Closed::DiskLow("9 MiB left".into()));
        close(&mut limits, None);
        assert_eq!(limits.closed, None);
    }

    #[test]
    fn marks_that_can_never_be_passed_are_refused() {
        let marks = DiskConfig { stop_below: 20, resume_above: 10, files: 0 };
        let error = marks.check().unwrap_err().to_string();
        assert!(error.contains("resume-above (10 MiB) is less"), "{error}");
    }
}
