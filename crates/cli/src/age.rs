//! How long ago something was, for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long ago, in the largest unit that says something.
pub(crate) fn age(unix_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    told(now.saturating_sub(Duration::from_millis(unix_ms)))
}

/// The same of a duration.
pub(crate) fn told(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_a_unit_of_which_there_are_two_or_more() {
        let told = [119, 120, 7199, 7200, 172_799, 172_800].map(|seconds| told(Duration::from_secs(seconds)));
        assert_eq!(told, ["119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
