//! Text in logs.

use store::log::Pattern;

use crate::sample::{JOB, World, line, many, numbers};

#[tokio::test]
async fn text_is_found_as_it_stands_and_patterns_as_they_mean() {
    let world = World::new();
    let mut writer = world.logs.append(JOB).expect("opened");
    let words = ["Error: 1+1", "error: 2", "\u{1b}[1;31merror\u{1b}[0m: three", "no mistake", "1++1"];
    let lines: Vec<_> = (0..).zip(words).map(|(n, text)| line(n, text)).collect();
    writer.write(&lines).expect("written");
    drop(writer);
    let log = world.logs.read(JOB);
    let text = |text, ignore_case| Pattern::text(text, ignore_case).expect("short");
    let regex = |text| Pattern::regex(text, false).expect("a pattern");
    for (pattern, found) in [
        (text("1+1", false), vec![0]),
        (text("error:", false), vec![1, 2]),
        (text("ERROR:", true), vec![0, 1, 2]),
        (text("31m", false), vec![]),
        (regex("^error: [a-z]+$"), vec![2]),
        (regex("1\\+{2}1"), vec![4]),
    ] {
        let all = log.search(&pattern, 0, 100).await.expect("searched");
        assert_eq!((numbers(&all.lines), all.next), (found, None), "{pattern:?}");
    }
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped() {
    let world = World::new();
    let mut writer = world.logs.append(JOB).expect("opened");
    writer.write(&many(0..30_000)).expect("written");
    drop(writer);
    let log = world.logs.read(JOB);
    let pattern = Pattern::regex("line [0-9]*00 ", false).expect("a pattern");
    let (mut from, mut found) = (0, Vec::new());
    loop {
        let some = log.search(&pattern, from, 7).await.expect("searched");
        found.extend(numbers(&some.lines));
        let Some(next) = some.next else { break };
        assert_eq!(some.lines.len(), 7);
        from = next;
    }
    assert_eq!(found, (100..30_000).step_by(100).collect::<Vec<_>>());
}

#[test]
fn a_pattern_that_is_none_or_too_large_is_refused() {
    let none = Pattern::regex("(", false).expect_err("no pattern").to_string();
    assert!(none.starts_with("can't search for this pattern: regex parse error"), "{none}");
    assert!(Pattern::regex("(\\w{100}){100}", false).is_err());
    assert!(Pattern::text(&"x".repeat(1001), false).is_err());
}
