//! What is written is what is read, from any place.

use model::limits::LOG_LINE_BYTES;
use model::{JobId, StepPhase, StepRef, Stream};
use store::log::{PAGE_BYTES, PAGE_LINES};

use crate::sample::{JOB, World, line, many, moment, numbers, texts};

#[tokio::test]
async fn a_line_comes_back_with_all_that_it_had() {
    let world = World::new();
    let phases = [StepPhase::SetUp, StepPhase::Pre, StepPhase::Main, StepPhase::Post, StepPhase::Complete];
    let mut lines = Vec::new();
    for (n, phase) in (0..).zip(phases) {
        for stream in [Stream::Stdout, Stream::Stderr, Stream::Hearth] {
            let mut one = line(n, ["", "grün \u{1b}[32m✓\u{1b}[0m", "a\tb\r"][lines.len() % 3]);
            one.step = StepRef { index: usize::try_from(n).expect("small") * 1000, phase };
            one.stream = stream;
            lines.push(one);
        }
    }
    let mut writer = world.logs.append(JOB).expect("opened");
    writer.write(&lines).expect("written");
    writer.finish().expect("finished");
    let read = world.logs.read(JOB).lines(0, 100).await.expect("read");
    assert_eq!(read.iter().map(|line| line.line.clone()).collect::<Vec<_>>(), lines);
    assert_eq!(numbers(&read), (0..15).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_of_many_segments_is_read_from_any_line() {
    let world = World::new();
    let mut writer = world.logs.append(JOB).expect("opened");
    for start in (0..40_000).step_by(1000) {
        writer.write(&many(start..start + 1000)).expect("written");
    }
    assert_eq!(writer.count(), 40_000);
    drop(writer);
    assert!(world.segments().len() >= 4, "{:?}", world.segments());
    let log = world.logs.read(JOB);
    assert_eq!(log.count().await.expect("counted"), 40_000);
    for from in [0, 1, 7_777, 9_999, 20_000, 39_998] {
        let read = log.lines(from, 2).await.expect("read");
        assert_eq!(numbers(&read), [from, from + 1]);
        assert!(read[0].line.text.starts_with(&format!("line {from} x")));
    }
    assert_eq!(numbers(&log.lines(39_999, 5).await.expect("read")), [39_999]);
    assert!(log.lines(40_000, 5).await.expect("read").is_empty());
    assert_eq!(log.lines(0, 40_000).await.expect("read").len(), PAGE_LINES);
}

#[tokio::test]
async fn a_line_is_found_by_its_time_even_when_the_clock_went_back() {
    let world = World::new();
    let mut writer = world.logs.append(JOB).expect("opened");
    let mut lines = many(0..30_000);
    for late in &mut lines[15_000..25_000] {
        late.at = moment(0);
    }
    writer.write(&lines).expect("written");
    drop(writer);
    let log = world.logs.read(JOB);
    for (ms, number) in [(0, 0), (1, 1), (10, 1), (99_990, 9_999), (149_990, 14_999), (150_000, 25_000)] {
        assert_eq!(log.at_time(moment(ms)).await.expect("found"), number, "{ms} ms");
    }
    assert_eq!(log.at_time(moment(299_990)).await.expect("found"), 29_999);
    assert_eq!(log.at_time(moment(299_991)).await.expect("found"), 30_000);
}

#[tokio::test]
async fn a_log_is_gone_on_with_where_it_ended() {
    let world = World::new();
    let mut first = world.logs.append(JOB).expect("opened");
    first.write(&many(0..3)).expect("written");
    first.finish().expect("finished");
    assert!(world.logs.read(JOB).is_complete().await.expect("known"));
    let world = world.again();
    let mut second = world.logs.append(JOB).expect("opened");
    assert!(!world.logs.read(JOB).is_complete().await.expect("known"));
    assert_eq!(second.count(), 3);
    second.write(&many(0..2)).expect("written");
    second.flush().expect("flushed");
    let read = world.logs.read(JOB).lines(0, 10).await.expect("read");
    assert_eq!(numbers(&read), [0, 1, 2, 3, 4]);
    assert_eq!(read.iter().map(|line| line.line.sequence).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
    assert_eq!(world.segments().len(), 1, "a log that ended early has no second segment for it");
}

#[tokio::test]
async fn a_line_of_any_length_is_bounded_and_so_is_a_page() {
    let world = World::new();
    let mut writer = world.logs.append(JOB).expect("opened");
    let long = "ä".repeat(LOG_LINE_BYTES);
    let lines: Vec<_> = (0..8).map(|n| line(n, &long)).collect();
    writer.write(&lines).expect("written");
    drop(writer);
    let log = world.logs.read(JOB);
    let read = log.lines(0, 8).await.expect("read");
    assert_eq!(read.len(), PAGE_BYTES / LOG_LINE_BYTES);
    assert!(read[0].line.text.ends_with("ä…"));
    assert!(read[0].line.text.len() <= LOG_LINE_BYTES + "…".len());
    assert_eq!(numbers(&log.lines(7, 8).await.expect("read")), [7]);
}

#[tokio::test]
async fn one_writes_a_log_at_a_time() {
    let world = World::new();
    let first = world.logs.append(JOB).expect("opened");
    let second = world.logs.append(JOB).expect_err("it is being written").to_string();
    assert_eq!(second, "can't open the log of job 17: it is being written already");
    assert!(world.logs.remove(JOB).is_err());
    let _other = world.logs.append(JobId(18)).expect("another job's log");
    drop(first);
    world.logs.append(JOB).expect("opened");
}

#[tokio::test]
async fn a_removed_log_is_gone_whole() {
    let world = World::new();
    for job in [JOB, JobId(18)] {
        world.logs.append(job).expect("opened").write(&many(0..3)).expect("written");
    }
    world.logs.remove(JOB).expect("removed");
    world.logs.remove(JOB).expect("removed already");
    assert_eq!(world.logs.jobs().expect("listed"), [JobId(18)]);
    let log = world.logs.read(JOB);
    assert!(log.lines(0, 10).await.expect("read").is_empty());
    assert_eq!(log.count().await.expect("counted"), 0);
    assert_eq!(texts(&world.logs.read(JobId(18)).lines(0, 10).await.expect("read")).len(), 3);
}
