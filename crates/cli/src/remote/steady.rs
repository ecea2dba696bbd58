//! A stream of events that is opened anew where it breaks off: the server is started again, or a proxy has had enough.
//!
//! ```text
//! closed ──opened──► open ──broke off──► closed
//!   └──refused for good, or closed for too long──► error
//! ```

use std::time::Duration;

use server::client::{ClientError, Event, Events};
use tokio::time::Instant;

use super::connection::{Connection, RemoteError};

/// Longest that a server may be away: one that is stopped gives its jobs a minute, and another update takes some.
const AWAY: Duration = Duration::from_secs(5 * 60);

/// The first pause before it is asked again; each that follows is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause: nobody waits much longer than the server was away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A stream that was open for so long counts as one that works: the next break is another one.
const STEADY: Duration = Duration::from_secs(30);

/// A stream that stays.
pub(super) struct Steady {
    server: Connection,
    /// What is asked for whenever it is opened.
    path: String,
    /// None while it is closed.
    events: Option<Events>,
    opened: Instant,
    /// Since when it has not been open for long.
    lost: Option<Instant>,
    pause: Duration,
    /// Whether people are told that it broke off, and that it is there again.
    is_told: bool,
}

impl Steady {
    /// One that is opened once somebody wants its first event.
    pub(super) fn new(server: Connection, path: String) -> Steady {
        let (events, lost, pause) = (None, None, Duration::ZERO);
        Steady { server, path, events, opened: Instant::now(), lost, pause, is_told: false }
    }

    /// The same; what becomes of it is told.
    pub(super) fn told(self) -> Steady {
        Steady { is_told: true, ..self }
    }

    /// What is asked for from the next break on.
    pub(super) fn go_on_at(&mut self, path: String) {
        self.path = path;
    }

    /// The next event. May be dropped, and called again.
    pub(super) async fn next(&mut self) -> Result<Event, RemoteError> {
        loop {
            if let Some(events) = &mut self.events {
                match events.next().await {
                    Ok(Some(event)) => return Ok(event),
                    Ok(None) => self.broke_off(ClientError::Broken("it has ended the stream".to_owned()))?,
                    Err(error) => self.broke_off(error)?,
                }
            }
            tokio::time::sleep(self.pause).await;
            match self.server.listen(&self.path).await {
                Ok(events) => self.open(events),
                Err(error) => self.stays_closed(error)?,
            }
        }
    }

    /// As if it had broken off: what it speaks of could not be asked for.
    pub(super) fn doubt(&mut self, error: RemoteError) -> Result<(), RemoteError> {
        match error.may_pass() {
            true => self.broke_off(error.into_error()),
            false => Err(error),
        }
    }

    fn open(&mut self, events: Events) {
        if self.is_told && self.lost.is_some_and(|lost| self.opened <= lost) {
            eprintln!("hearth: the server is there again");
        }
        self.events = Some(events);
        self.opened = Instant::now();
    }

    fn broke_off(&mut self, error: ClientError) -> Result<(), RemoteError> {
        self.events = None;
        if self.lost.is_none() || self.opened.elapsed() >= STEADY {
            self.lost = Some(Instant::now());
            self.pause = FIRST_PAUSE;
            if self.is_told {
                eprintln!("hearth: lost the server ({error}); asking again for {} min", AWAY.as_secs() / 60);
            }
            return Ok(());
        }
        self.stays_closed(self.server.explain(error))
    }

    fn stays_closed(&mut self, error: RemoteError) -> Result<(), RemoteError> {
        let lost = *self.lost.get_or_insert_with(Instant::now);
        if !error.may_pass() || lost.elapsed() >= AWAY {
            return Err(error);
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Ok(())
    }
}
