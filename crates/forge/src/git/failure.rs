//! What git's words mean when it fails.

/// Kinds of failures, as far as what to do differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refuses, or has no such repository: to whoever may not see one, these are the same.
    Denied,
    /// The server has no such ref or commit.
    NotThere,
    /// The network or the server failed.
    Unreachable,
    /// The repository on this host belongs to somebody else, and git does not read it.
    Ownership,
    /// It names its objects by another hash than the mirror.
    ObjectFormat,
    /// A git that was killed left its lock.
    Locked,
    /// The mirror is not whole.
    Damaged,
    /// Something else.
    Other,
}

/// Words by which a failure is known, in the order of asking. Git's messages are English here: it runs with `LC_ALL=C`.
const WORDS: &[(Failure, &[&str])] = &[
    (Failure::Ownership, &["detected dubious ownership"]),
    (Failure::ObjectFormat, &["mismatched algorithms"]),
    (
        Failure::NotThere,
        &[
            "couldn't find remote ref",
            "not our ref",
            "does not allow request for unadvertised object",
            "remote did not send",
        ],
    ),
    (
        Failure::Denied,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "terminal prompts disabled",
            "returned error: 401",
            "returned error: 403",
            "returned error: 404",
            "permission denied (",
            "repository not found",
            "' not found",
            "does not appear to be a git repository",
            "host key verification failed",
        ],
    ),
    (
        Failure::Unreachable,
        &[
            "unable to access",
            "could not resolve host",
            "connection refused",
            "connection reset",
            "timed out",
            "early eof",
            "hung up",
            "rpc failed",
            "unexpected disconnect",
            "operation too slow",
            "could not read from remote repository",
            "bad line length",
            "protocol error",
        ],
    ),
    (Failure::Locked, &[".lock': file exists"]),
    (
        Failure::Damaged,
        &[
            "not a git repository",
            "not in a git directory",
            "bad object",
            "bad config",
            "bad tree",
            "bad ref",
            "broken",
            "corrupt",
            "loose object",
            "packfile",
            "pack file",
            "index file",
            "unable to read",
            "could not read",
            "missing ",
            "invalid sha1 pointer",
            "inflate",
            "revision walk setup failed",
            "not a valid object",
            "did not send all necessary objects",
            "unresolved deltas",
            "invalid index-pack output",
            "index-pack failed",
        ],
    ),
];

impl Failure {
    /// Reads what git wrote before it failed.
    pub(super) fn of(stderr: &str) -> Failure {
        let all = stderr.to_lowercase();
        // What the server says of its own repository is no fault of the mirror.
        let own: String =
            lines(&all).filter(|line| !line.starts_with("remote:")).collect::<Vec<_>>().join("\n");
        let said = |failure: Failure, words: &[&str]| {
            let text = if failure == Failure::Damaged { &own } else { &all };
            words.iter().any(|word| text.contains(word))
        };
        WORDS.iter().find(|(failure, words)| said(*failure, words)).map_or(Failure::Other, |found| found.0)
    }
}

/// What git wrote, line by line. How far a server is stands in one line that is written over and over.
fn lines(stderr: &str) -> impl DoubleEndedIterator<Item = &str> {
    stderr.split(['\n', '\r'])
}

/// The line of git's output that says most: the last fatal one, else the last.
pub(super) fn cause(stderr: &str) -> String {
    /// Characters of git's output that an error quotes.
    const MAX_CAUSE: usize = 300;
    let lines = || lines(stderr).map(str::trim).filter(|line| !line.is_empty());
    // What git says last then is that the other side has gone.
    let first = lines().find(|line| line.contains("dubious ownership"));
    let fatal =
        first.or_else(|| lines().rfind(|line| line.starts_with("fatal:") || line.starts_with("error:")));
    let line = fatal.or(lines().next_back()).unwrap_or("it said nothing");
    line.trim_start_matches("fatal: ").trim_start_matches("error: ").chars().take(MAX_CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_understood() {
        let cases = [
            ("fatal: couldn't find remote ref refs/heads/x", Failure::NotThere),
            ("error: Server does not allow request for unadvertised object aa", Failure::NotThere),
            ("fatal: remote error: upload-pack: not our ref aaaa", Failure::NotThere),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Failure::Denied),
            ("fatal: unable to access 'http://h/': The requested URL returned error: 403", Failure::Denied),
            ("fatal: repository 'http://h/a/b.git/' not found", Failure::Denied),
            ("fatal: unable to access 'http://h/': Could not resolve host: h", Failure::Unreachable),
            (
                "error: RPC failed; curl 18\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
                Failure::Unreachable,
            ),
            ("fatal: Unable to create '/m/packed-refs.lock': File exists.", Failure::Locked),
            ("fatal: mismatched algorithms: client sha1; server sha256", Failure::ObjectFormat),
            ("fatal: not a git repository: '/m'", Failure::Damaged),
            ("error: inflate: data stream error\nfatal: loose object aa is corrupt", Failure::Damaged),
            ("remote: fatal: bad object aa\nfatal: odd", Failure::Other),
        ];
        for (text, failure) in cases {
            assert_eq!(Failure::of(text), failure, "{text}");
        }
    }

    #[test]
    fn whose_a_repository_is_is_said_before_what_follows_from_it() {
        let said = "fatal: detected dubious ownership in repository at '/srv/a.git'\nTo add an exception:\n\n\
            \tgit config --global --add safe.directory /srv/a.git\nfatal: Could not read from remote repository.";
        assert_eq!(Failure::of(said), Failure::Ownership);
        assert_eq!(cause(said), "detected dubious ownership in repository at '/srv/a.git'");
    }

    #[test]
    fn the_reason_is_found_behind_what_a_server_said_of_its_progress() {
        let said = "remote: Counting objects:  50% (1/2)        \rremote: Counting objects: 100% (2/2), done.        \n\
            remote: Compressing objects:   1% (1/90)        \rfatal: early EOF\n\
            fatal: the pack file is odd\rremote: Compressing objects:   2% (2/90)        \r";
        assert_eq!(cause(said), "the pack file is odd");
        assert_eq!(Failure::of(said), Failure::Unreachable);
        let damaged = "remote: Compressing objects:   1% (1/90)        \rfatal: loose object aa is corrupt\n";
        assert_eq!(Failure::of(damaged), Failure::Damaged);
    }

    #[test]
    fn the_cause_is_the_last_fatal_line() {
        assert_eq!(cause("hint: x\nfatal: it broke\nhint: do this\n"), "it broke");
        assert_eq!(cause("\n"), "it said nothing");
    }
}
