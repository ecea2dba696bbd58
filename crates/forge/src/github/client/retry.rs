//! Whether a call is made again, and when. Pure: what happened in, what to do out.
//!
//! ```text
//!            answer 2xx, 304
//!   asked ───────────────────────────────────────────► Done
//!     │  no answer, 5xx, rate limit, and it is worth it
//!     ├──────────────────► Wait ──► asked again
//!     │  refused, or tried too often, or too long to wait, or it may have happened already
//!     └─────────────────────────────────────────────► GiveUp
//! ```
//!
//! The rules are GitHub's:
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately>

use std::time::Duration;

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first wait where the server names none; each further one is twice as long.
    pub first: Duration,
    /// The first wait after a rate limit that names none: GitHub asks for a minute.
    pub limited: Duration,
    /// The longest wait. Whoever would have to wait longer is told until when, and asks again by itself.
    pub longest: Duration,
    /// How often a call is made at most.
    pub tries: u32,
}

impl Default for Pace {
    /// Five tries bridge a restart of the server; nothing waits for more than two minutes in a call.
    fn default() -> Pace {
        Pace {
            first: Duration::from_secs(1),
            limited: Duration::from_secs(60),
            longest: Duration::from_secs(120),
            tries: 5,
        }
    }
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered.
    Answered {
        /// With this.
        status: u16,
        /// What the answer says of limits.
        limits: Limits,
        /// Whether its text speaks of a rate limit.
        speaks_of_limit: bool,
    },
    /// The request never arrived: nobody listens there.
    NotSent,
    /// There is no answer, and the request may have been carried out.
    Lost,
}

/// What an answer says of rate limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `retry-after`.
    pub retry_after: Option<Duration>,
    /// `x-ratelimit-remaining`.
    pub remaining: Option<u64>,
    /// `x-ratelimit-reset`, in seconds since 1970.
    pub reset: Option<u64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take the answer.
    Done,
    /// Ask again after this long.
    Wait(Duration),
    /// Leave it.
    GiveUp(Reason),
}

/// Why a call is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The answer would be the same.
    Refused,
    /// A rate limit; in this time there is room again.
    Limited(Duration),
    /// It has been tried as often as it may.
    Exhausted,
    /// It may have happened, and must not happen twice.
    Unsure,
}

/// A try, and what became of it.
#[derive(Clone, Debug)]
pub struct Try {
    /// Which one, from 1.
    pub number: u32,
    /// Whether making the call twice does what making it once does.
    pub repeatable: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// Seconds since 1970.
    pub now: u64,
    /// From 0 to 1: spreads the waits of many, who failed together, over time.
    pub jitter: f64,
}

impl Try {
    /// Decides.
    pub fn verdict(&self, pace: &Pace) -> Verdict {
        match &self.outcome {
            Outcome::Answered { status: 200..=299 | 304, .. } => Verdict::Done,
            Outcome::Answered { status, limits, speaks_of_limit }
                if is_limited(*status, limits, *speaks_of_limit) =>
            {
                let wait = limits.wait(self.now).unwrap_or_else(|| self.doubled(pace.limited));
                if wait > pace.longest || self.number >= pace.tries {
                    return Verdict::GiveUp(Reason::Limited(wait));
                }
                // Whoever waits for the same reset does not come in the same moment.
                Verdict::Wait(wait + pace.first.mul_f64(self.jitter))
            }
            Outcome::Answered { status: 500.., .. } | Outcome::Lost if !self.repeatable => {
                Verdict::GiveUp(Reason::Unsure)
            }
            Outcome::Answered { status: 408 | 500.., .. } | Outcome::Lost | Outcome::NotSent => {
                self.again(pace)
            }
            Outcome::Answered { .. } => Verdict::GiveUp(Reason::Refused),
        }
    }

    fn again(&self, pace: &Pace) -> Verdict {
        if self.number >= pace.tries {
            return Verdict::GiveUp(Reason::Exhausted);
        }
        // Between half and the whole of it.
        let wait = self.doubled(pace.first).mul_f64(0.5 + self.jitter / 2.0);
        Verdict::Wait(wait.min(pace.longest))
    }

    /// A wait that has doubled with each try.
    fn doubled(&self, first: Duration) -> Duration {
        /// Doublings that stay far from the end of what a number holds.
        const MAX_DOUBLINGS: u32 = 16;
        first * 2_u32.pow((self.number - 1).min(MAX_DOUBLINGS))
    }
}

impl Limits {
    /// How long to wait, if it is said.
    pub fn wait(&self, now: u64) -> Option<Duration> {
        let until_reset = || match (self.remaining, self.reset) {
            (Some(0), Some(reset)) => Some(Duration::from_secs(reset.saturating_sub(now))),
            _ => None,
        };
        self.retry_after.or_else(until_reset)
    }
}

/// Whether an answer is a rate limit, primary or secondary. A plain 403 is a missing permission.
fn is_limited(status: u16, limits: &Limits, speaks_of_limit: bool) -> bool {
    match status {
        429 => true,
        403 => limits.retry_after.is_some() || limits.remaining == Some(0) || speaks_of_limit,
        // A proxy that is overloaded says so, and for how long.
        503 => limits.retry_after.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn pace() -> Pace {
        Pace::default()
    }

    fn verdict(number: u32, repeatable: bool, outcome: Outcome) -> Verdict {
        Try { number, repeatable, outcome, now: NOW, jitter: 0.5 }.verdict(&pace())
    }

    fn answered(status: u16, limits: Limits, text: &str) -> Outcome {
        Outcome::Answered { status, limits, speaks_of_limit: text.contains("rate limit") }
    }

    fn plain(status: u16) -> Outcome {
        answered(status, Limits::default(), "")
    }

    #[test]
    fn an_answer_is_taken() {
        for status in [200, 201, 202, 204, 304] {
            assert_eq!(verdict(1, false, plain(status)), Verdict::Done, "{status}");
        }
    }

    #[test]
    fn what_is_refused_is_not_asked_again() {
        for status in [301, 400, 401, 403, 404, 409, 410, 422] {
            assert_eq!(verdict(1, true, plain(status)), Verdict::GiveUp(Reason::Refused), "{status}");
        }
    }

    #[test]
    fn waits_double_with_each_failure_until_the_last_try() {
        let wait = |number| verdict(number, true, plain(502));
        assert_eq!(wait(1), Verdict::Wait(Duration::from_millis(750)));
        assert_eq!(wait(2), Verdict::Wait(Duration::from_millis(1500)));
        assert_eq!(wait(4), Verdict::Wait(Duration::from_millis(6000)));
        assert_eq!(wait(5), Verdict::GiveUp(Reason::Exhausted));
    }

    #[test]
    fn what_may_have_happened_does_not_happen_twice() {
        assert_eq!(verdict(1, false, Outcome::Lost), Verdict::GiveUp(Reason::Unsure));
        assert_eq!(verdict(1, false, plain(502)), Verdict::GiveUp(Reason::Unsure));
        assert!(matches!(verdict(1, false, Outcome::NotSent), Verdict::Wait(_)));
        assert!(matches!(verdict(1, true, Outcome::Lost), Verdict::Wait(_)));
    }

    #[test]
    fn a_rate_limit_is_waited_for_as_the_server_says() {
        let half = Duration::from_millis(500);
        let after = Limits { retry_after: Some(Duration::from_secs(30)), ..Limits::default() };
        for status in [403, 429, 503] {
            let expected = Verdict::Wait(Duration::from_secs(30) + half);
            assert_eq!(verdict(1, false, answered(status, after, "")), expected, "{status}");
        }
        let reset = Limits { remaining: Some(0), reset: Some(NOW + 90), ..Limits::default() };
        assert_eq!(
            verdict(1, false, answered(403, reset, "")),
            Verdict::Wait(Duration::from_secs(90) + half)
        );
        let passed = Limits { reset: Some(NOW - 5), ..reset };
        assert_eq!(verdict(1, false, answered(429, passed, "")), Verdict::Wait(half));
    }

    #[test]
    fn a_secondary_limit_that_names_no_time_is_waited_for_a_minute() {
        let text = "You have exceeded a secondary rate limit";
        let limited = answered(403, Limits::default(), text);
        assert_eq!(verdict(1, false, limited.clone()), Verdict::Wait(Duration::from_millis(60_500)));
        assert_eq!(verdict(2, false, limited.clone()), Verdict::Wait(Duration::from_millis(120_500)));
        let longer = Verdict::GiveUp(Reason::Limited(Duration::from_secs(240)));
        assert_eq!(verdict(3, false, limited), longer);
    }

    #[test]
    fn nobody_waits_for_an_hour_in_a_call() {
        let reset = Limits { remaining: Some(0), reset: Some(NOW + 3600), ..Limits::default() };
        let limited = Verdict::GiveUp(Reason::Limited(Duration::from_secs(3600)));
        assert_eq!(verdict(1, true, answered(403, reset, "")), limited);
    }

    #[test]
    fn no_outcome_is_tried_more_often_than_allowed_or_waited_for_longer() {
        let odd = [0, 1, u64::MAX];
        for status in (100..1000).step_by(1) {
            for number in [1, 2, 5, 6, u32::MAX] {
                for value in odd {
                    let limits = Limits {
                        retry_after: (value == 1).then_some(Duration::from_secs(u64::MAX / 2)),
                        remaining: Some(value),
                        reset: Some(value),
                    };
                    match verdict(number, true, answered(status, limits, "")) {
                        Verdict::Wait(wait) => {
                            assert!(
                                number < 5 && wait <= Duration::from_secs(121),
                                "{status} {number} {wait:?}"
                            );
                        }
                        Verdict::Done => assert!((200..300).contains(&status) || status == 304),
                        Verdict::GiveUp(_) => {}
                    }
                }
            }
        }
    }
}
