//! How an error is told to people.

use anyhow::Error;

/// The error and what caused it, in one line. Some errors name their cause in their own words already: it is not
/// said twice.
pub(crate) fn told(error: &Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::told;

    #[test]
    fn a_cause_is_said_once() {
        let missing = std::io::Error::from_raw_os_error(2);
        let text = missing.to_string();
        let naming = anyhow::Error::new(missing).context(format!("opening a.tar: {text}"));
        assert_eq!(told(&naming), format!("opening a.tar: {text}"));
        let silent = anyhow!("the disk is full").context("writing b.tar");
        assert_eq!(told(&silent), "writing b.tar: the disk is full");
    }
}
