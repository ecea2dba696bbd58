//! What a job contacted, kept in the folder of its run: `network/<job>.jsonl`, a JSON object for each contact.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use model::{Contact, EventSink, JobEvent};
use serde::Serialize;

use super::drive::Screen;
use super::output::JobTitle;

/// Passes a job's events on, and writes down what it contacted when it ends.
pub(crate) struct ContactsFile {
    /// Who hears the events.
    pub(crate) next: Arc<dyn EventSink>,
    /// The folder, made when there is something to write.
    pub(crate) folder: PathBuf,
    /// The job.
    pub(crate) title: JobTitle,
    /// Where it is told that nothing can be written.
    pub(crate) screen: Screen,
    /// As many as a machine keeps.
    pub(crate) contacts: Mutex<Vec<(Contact, u64)>>,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    job: &'a str,
    #[serde(flatten)]
    contact: &'a Contact,
    times: u64,
}

impl EventSink for ContactsFile {
    fn emit(&self, event: JobEvent) {
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            JobEvent::Contacted { contact, times } => contacts.push((contact.clone(), *times)),
            JobEvent::JobFinished { .. } if !contacts.is_empty() => {
                if let Err(error) = self.write(&contacts) {
                    self.screen.lock().machine_note(&self.title, &format!("{error:#}"));
                }
            }
            _ => {}
        }
        drop(contacts);
        self.next.emit(event);
    }
}

impl ContactsFile {
    fn write(&self, contacts: &[(Contact, u64)]) -> Result<()> {
        let path = self.folder.join(format!("{}.jsonl", self.title.id));
        let mut text = String::new();
        for (contact, times) in contacts {
            let line = Line { job: &self.title.name, contact, times: *times };
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("what it contacted can't be written to {}", path.display()))
    }
}
