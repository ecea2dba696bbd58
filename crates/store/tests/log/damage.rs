//! Logs that something happened to.

use std::fs::{self, File};

use store::log::Pattern;

use crate::sample::{JOB, World, line, many, numbers, texts};

#[tokio::test]
async fn a_torn_last_line_is_cut_off_wherever_it_was_torn_and_told() {
    let whole = {
        let world = World::new();
        world.logs.append(JOB).expect("opened").write(&many(0..3)).expect("written");
        fs::metadata(&world.segments()[0]).expect("there").len()
    };
    let record = (whole - 8) / 3;
    for cut in 1..=record {
        let world = World::new();
        world.logs.append(JOB).expect("opened").write(&many(0..3)).expect("written");
        let segment = world.segments().remove(0);
        File::options().write(true).open(segment).expect("there").set_len(whole - cut).expect("cut");
        let world = world.again();
        let log = world.logs.read(JOB);
        assert_eq!(numbers(&log.lines(0, 10).await.expect("read")), [0, 1], "cut by {cut}");

        let mut writer = world.logs.append(JOB).expect("opened");
        writer.write(&[line(7, "on")]).expect("written");
        writer.flush().expect("flushed");
        let read = log.lines(2, 10).await.expect("read");
        let lost = format!("[{} bytes at the end of this log were lost when Hearth ended]", record - cut);
        let expected = if cut == record { vec!["on"] } else { vec![lost.as_str(), "on"] };
        assert_eq!(texts(&read), expected);
    }
}

#[tokio::test]
async fn a_log_that_was_torn_at_its_very_beginning_begins_anew() {
    for length in 0..8 {
        let world = World::new();
        world.logs.append(JOB).expect("opened").write(&many(0..3)).expect("written");
        File::options().write(true).open(&world.segments()[0]).expect("there").set_len(length).expect("cut");
        let world = world.again();
        assert!(world.logs.read(JOB).lines(0, 9).await.expect("read").is_empty());
        let mut writer = world.logs.append(JOB).expect("opened");
        writer.write(&many(0..2)).expect("written");
        drop(writer);
        let read = world.logs.read(JOB).lines(0, 9).await.expect("read");
        assert!(texts(&read).last().expect("lines").starts_with("line 1 "), "{read:?}");
    }
}

#[tokio::test]
async fn damaged_lines_are_told_as_one_and_the_rest_is_read() {
    let world = World::new();
    world.logs.append(JOB).expect("opened").write(&many(0..30_000)).expect("written");
    let segments = world.segments();
    assert!(segments.len() > 3);
    let mut bytes = fs::read(&segments[1]).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&segments[1], bytes).expect("written");

    let log = world.logs.read(JOB);
    assert_eq!(log.count().await.expect("counted"), 30_000);
    let (mut from, mut lines) = (0, Vec::new());
    while from < 30_000 {
        let page = log.lines(from, 5000).await.expect("read");
        let last = page.last().expect("more").number;
        from = last + 1;
        lines.extend(page);
    }
    let notes: Vec<_> = lines.iter().filter(|line| !line.line.text.starts_with("line ")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let lost = 30_001 - u64::try_from(lines.len()).expect("few");
    assert_eq!(notes[0].line.text, format!("[{lost} lines of this log are damaged]"));
    assert!((1..8192).contains(&lost), "{lost}");
    let pattern = Pattern::text("line 29999 ", false).expect("short");
    assert_eq!(numbers(&log.search(&pattern, 0, 9).await.expect("searched").lines), [29_999]);
}
