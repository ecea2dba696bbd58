//! How the agent says that it can't.

use std::io;

use nix::errno::Errno;
use prost::Message;
use tonic::{Code, Status};

use crate::bounds::REASON_CHARS;
use crate::wire::{self, RefusalKind};

/// Why something can't be done, and with which file or program.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: RefusalKind,
    pub(super) object: String,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, object: object.into(), reason: reason.into() }
    }

    pub(super) fn invalid(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::Invalid, object, reason)
    }

    pub(super) fn io(object: impl Into<String>, error: &io::Error) -> Self {
        Self::new(kind_of(error), object, plain_reason(error))
    }

    pub(super) fn disk_full(object: impl Into<String>) -> Self {
        Self::io(object, &io::Error::from_raw_os_error(Errno::ENOSPC as i32))
    }
}

/// What the system says, without the number that `io::Error` adds.
fn plain_reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

fn kind_of(error: &io::Error) -> RefusalKind {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => RefusalKind::NotFound,
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => RefusalKind::Denied,
        Kind::StorageFull | Kind::QuotaExceeded => RefusalKind::DiskFull,
        Kind::InvalidInput
        | Kind::InvalidData
        | Kind::InvalidFilename
        | Kind::IsADirectory
        | Kind::NotADirectory
        | Kind::ArgumentListTooLong => RefusalKind::Invalid,
        _ => RefusalKind::Other,
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::NotFound => Code::NotFound,
            RefusalKind::Denied => Code::PermissionDenied,
            RefusalKind::DiskFull => Code::ResourceExhausted,
            RefusalKind::Invalid => Code::InvalidArgument,
            RefusalKind::Other | RefusalKind::Unspecified => Code::FailedPrecondition,
        };
        let details = wire::Refusal {
            kind: refusal.kind.into(),
            object: shortened(&refusal.object),
            reason: shortened(&refusal.reason),
        };
        Status::with_details(code, "", details.encode_to_vec().into())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(REASON_CHARS).collect()
}
