//! Bounds of the protocol. Each says why that number.

use std::time::Duration;

/// Version of the protocol that both sides must speak.
pub const PROTOCOL: u32 = 2;

/// Bytes of data in one message: large enough that framing costs nothing, small enough that
/// many streams share the connection fairly.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of one message. A process's environment is the largest: Linux allows 2 MiB of
/// arguments and environment with its usual stack limit, and we leave room for framing.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of a process's arguments, environment, and first files: Linux takes 2 MiB of the first
/// two, a script is small, and framing needs the rest of `MESSAGE_BYTES`.
pub const START_BYTES: usize = 3 * 1024 * 1024;

/// Unread bytes of one stream: keeps a pipe full over a slow virtio link, and is what a
/// process can write ahead of a reader that stalls.
pub const STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// Unread bytes of all streams: 128 of them may stall before others have to wait, and it is
/// what a hostile agent can make the host hold.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;

/// Concurrent calls: a tunnel's connection is one each, and a package manager opens hundreds.
pub const CONCURRENT_CALLS: u32 = 4096;

/// Messages that wait between a task and the connection. Small: the window does the buffering.
pub const QUEUED_MESSAGES: usize = 4;

/// Connections that one tunnel carries at once; more wait in the listener's backlog.
pub const TUNNEL_CONNECTIONS: usize = 1024;

/// Entries of a walk in one message, and paths of a digest: far below `MESSAGE_BYTES` for usual paths.
pub const BATCH_ENTRIES: usize = 512;

/// Bytes of paths in one batch: with `BATCH_ENTRIES`, keeps long paths below `MESSAGE_BYTES` too.
pub const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of all paths of one walk: some two million usual ones, and what a hostile agent can make the host hold.
pub const WALK_BYTES: usize = 256 * 1024 * 1024;

/// Bytes of entropy of one renewal: twice what the kernel's pool holds.
pub const ENTROPY_BYTES: usize = 64;

/// Name servers of one interface: a resolver reads no more.
pub const NAME_SERVERS: usize = 3;

/// Characters of an agent's reason that travel: it goes into an HTTP/2 header.
pub const REASON_CHARS: usize = 1024;

/// How long a process's output may stay quiet after its exit before nobody waits for the
/// background processes that hold it: `exec > >(tee log)` is through long before.
pub const OUTPUT_QUIET: Duration = Duration::from_millis(200);

/// How long output is read after a process's exit at the most; GitHub's runner waits as long.
pub const OUTPUT_LINGER: Duration = Duration::from_secs(5);

/// How long killed processes have to be gone; one in an uninterruptible wait may never be.
pub const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// How long the agent's last answer has to reach the host.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// How often the host asks an agent that says nothing whether it is alive.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long an agent may take to answer that: a machine that swaps is slow, not dead.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(60);
