//! The words of Hearth: ids, states, jobs, events, limits, results.
//!
//! Plain data that every crate above shares. It does no I/O, knows no async
//! runtime, no expression grammar, and no forge.

pub mod cache_mode;
pub mod contact;
pub mod event;
pub mod id;
pub mod job;
pub mod limits;
pub mod result;
pub mod state;
pub mod template;
pub mod time;
pub mod token;

pub use cache_mode::CacheMode;
pub use contact::{Contact, Protocol};
pub use event::{Annotation, AnnotationLevel, EventSink, JobEvent, LogLine, StepPhase, StepRef, Stream};
pub use id::{ArtifactId, CacheId, DeliveryId, JobId, MachineId, RepositoryId, RunId};
pub use job::{ActionRef, Contexts, Job, ProcessStep, RunDefaults, Secret, Secrets, Step, StepWork, Trust};
pub use result::{Conclusion, JobResult, StepResult};
pub use state::{DeliveryState, JobState, RunState, StepState};
pub use template::Template;
pub use time::Timestamp;
pub use token::{Access, Permissions, TokenTerms};
