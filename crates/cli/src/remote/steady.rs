//! A stream of events that is opened anew where it breaks off: the server is started again, or a proxy has had enough.
//!
//! ```text
//! closed ──opened──► open ──broke off──► closed
//!   └──refused for good, or closed for too long──► error
//! ```

use std::time::Duration;

use server::client::{ClientError, Event, Events};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Connection, RemoteError};

/// Longest that a server may be away: one that is stopped gives its jobs a minute, and another update takes some.
const AWAY: Duration = Duration::from_secs(5 * 60);

/// The first pause before it is asked again; each that follows is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause: nobody waits much longer than the server was away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A stream that was open for so long counts as one that works: the next break is another one. Less than the 30 s after
/// which many a proxy has had enough, more than a server takes that dies of what it is asked.
const STEADY: Duration = Duration::from_secs(10);

/// A stream that stays.
pub(super) struct Steady {
    server: Connection,
    /// What is asked for whenever it is opened.
    path: String,
    /// None while it is closed.
    events: Option<Events>,
    /// It is being opened, after a pause: by a task of its own, so that this goes on while [`Steady::next`] is dropped
    /// for what somebody else has to say.
    opening: JoinSet<Result<Events, RemoteError>>,
    patience: Patience,
    /// Whether people are told that it broke off, and that it is there again.
    is_told: bool,
}

impl Steady {
    /// One that is opened once somebody wants its first event.
    pub(super) fn new(server: Connection, path: String) -> Steady {
        let (opening, patience) = (JoinSet::new(), Patience::default());
        Steady { server, path, events: None, opening, patience, is_told: false }
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
            match self.opening.join_next().await {
                None => self.begin_opening(Duration::ZERO),
                Some(Ok(Ok(events))) => self.open(events),
                Some(Ok(Err(error))) => self.stays_closed(error)?,
                Some(Err(error)) => {
                    return Err(self.server.explain(ClientError::Broken(error.to_string())));
                }
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

    fn begin_opening(&mut self, pause: Duration) {
        let (server, path) = (self.server.clone(), self.path.clone());
        self.opening.spawn(async move {
            tokio::time::sleep(pause).await;
            server.listen(&path).await
        });
    }

    fn open(&mut self, events: Events) {
        if self.patience.opened(Instant::now()) && self.is_told {
            eprintln!("hearth: the server is there again");
        }
        self.events = Some(events);
    }

    fn broke_off(&mut self, error: ClientError) -> Result<(), RemoteError> {
        self.events = None;
        let next = self.patience.broke_off(Instant::now());
        if next == Next::AnotherBreak && self.is_told {
            eprintln!("hearth: lost the server ({error}); asking again for {} min", AWAY.as_secs() / 60);
        }
        self.go_on(next, self.server.explain(error))
    }

    fn stays_closed(&mut self, error: RemoteError) -> Result<(), RemoteError> {
        if !error.may_pass() {
            return Err(error);
        }
        let next = self.patience.stays_closed(Instant::now());
        self.go_on(next, error)
    }

    fn go_on(&mut self, next: Next, error: RemoteError) -> Result<(), RemoteError> {
        if next == Next::GiveUp {
            return Err(error);
        }
        self.begin_opening(self.patience.pause);
        Ok(())
    }
}

/// How long a stream is waited for that breaks off.
#[derive(Default)]
struct Patience {
    opened: Option<Instant>,
    /// Since when it has not been open for long.
    lost: Option<Instant>,
    pause: Duration,
}

/// What to do about a stream that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Open it anew after the pause: it had worked.
    AnotherBreak,
    /// Open it anew after the pause, which is longer than the one before.
    SameBreak,
    /// It was away for too long.
    GiveUp,
}

impl Patience {
    /// It is open. Whether for the first time since it broke off.
    fn opened(&mut self, now: Instant) -> bool {
        let is_again = self.lost.is_some() && self.opened <= self.lost;
        self.opened = Some(now);
        is_again
    }

    /// It was open, and is not any more.
    fn broke_off(&mut self, now: Instant) -> Next {
        let has_worked = self.opened.is_some_and(|opened| now.duration_since(opened) >= STEADY);
        if self.lost.is_some() && !has_worked {
            return self.stays_closed(now);
        }
        self.lost = Some(now);
        self.pause = FIRST_PAUSE;
        Next::AnotherBreak
    }

    /// It could not be opened, or not for long.
    fn stays_closed(&mut self, now: Instant) -> Next {
        let lost = *self.lost.get_or_insert(now);
        if now.duration_since(lost) >= AWAY {
            return Next::GiveUp;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Next::SameBreak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a stream is waited for that is open for so long each time, up to an hour.
    fn waited_for(open: Duration) -> Duration {
        let (begun, mut patience) = (Instant::now(), Patience::default());
        let mut now = begun;
        while now.duration_since(begun) < Duration::from_secs(60 * 60) {
            patience.opened(now);
            now += open;
            if patience.broke_off(now) == Next::GiveUp {
                break;
            }
            now += patience.pause;
        }
        now.duration_since(begun)
    }

    #[test]
    fn a_stream_that_a_proxy_cuts_twice_a_minute_is_followed_to_its_end() {
        assert!(waited_for(Duration::from_secs(29)) >= Duration::from_secs(60 * 60));
    }

    #[test]
    fn a_stream_that_breaks_off_at_once_is_given_up_as_one_that_never_opens() {
        let waited = waited_for(Duration::from_secs(1));
        assert!(waited >= AWAY && waited < AWAY * 2, "{waited:?}");
        let (begun, mut patience) = (Instant::now(), Patience::default());
        let mut now = begun;
        while patience.stays_closed(now) != Next::GiveUp {
            now += patience.pause;
        }
        assert!(now.duration_since(begun) >= AWAY, "{:?}", now.duration_since(begun));
    }

    #[test]
    fn it_is_there_again_once_for_each_break() {
        let (mut now, mut patience) = (Instant::now(), Patience::default());
        assert!(!patience.opened(now), "it was never away");
        for _ in 0..2 {
            now += STEADY;
            assert_eq!(patience.broke_off(now), Next::AnotherBreak);
            now += FIRST_PAUSE;
            assert!(patience.opened(now));
            now += FIRST_PAUSE;
            assert_eq!(patience.broke_off(now), Next::SameBreak);
            now += patience.pause;
            assert!(!patience.opened(now));
        }
    }
}
