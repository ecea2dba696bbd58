//! What is no YAML is told, all of it, and does not hide what else is wrong.

use workflow::diagnostic::Diagnostic;
use workflow::schema::{ReadOptions, read_workflow};

fn problems(text: &str) -> Vec<Diagnostic> {
    read_workflow("w.yml", text, &ReadOptions::default()).1
}

/// Lines and codes of all that is said.
fn said(text: &str) -> Vec<(u32, &'static str)> {
    let found = problems(text);
    let line = |problem: &Diagnostic| problem.span.as_ref().map_or(0, |span| span.start.line);
    found.iter().map(|problem| (line(problem), problem.code)).collect()
}

/// A workflow in which everything is right; `@` marks the lines that a test replaces.
const RIGHT: &str = "\
name: CI
on:
  push:
    branches: [main]
env: { A: 1 }
jobs:
  build:
    runs-on: [self-hosted, linux]
    strategy:
      matrix:
        os: [a, b]
        exclude:
          - os: a
    steps:
      - name: first
        run: |
          echo one
          echo two
      - uses: actions/checkout@v4
        with:
          ref: main
  test:
    needs: build
    runs-on: ubuntu-latest
    steps:
    - run: echo
";

/// `RIGHT` with one line replaced.
fn with_line(number: usize, replacement: &str) -> String {
    let lines = RIGHT.lines().enumerate();
    let lines = lines.map(|(place, line)| if place + 1 == number { replacement } else { line });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn one_fault_is_one_problem_where_it_stands() {
    assert_eq!(said(RIGHT), []);
    for (number, line, code) in [
        (1, "name: \"CI", "yaml-quote"),
        (1, "name: 'it's'", "yaml-quote"),
        (1, "name: \"CI\" x", "yaml-quote"),
        (1, "name: \"C\\d\"", "yaml-escape"),
        (1, "name: \"C\\u12\"", "yaml-escape"),
        (1, "name: a: b", "yaml-syntax"),
        (1, "name: @a", "yaml-syntax"),
        (1, "name: %a", "yaml-syntax"),
        (1, "name: `a`", "yaml-syntax"),
        (1, "name: *a", "yaml-alias"),
        (1, "name: *", "yaml-syntax"),
        (1, "name: & a", "yaml-syntax"),
        (1, "name: !a!b c", "yaml-tag"),
        (1, "name: - a", "yaml-indentation"),
        (1, "name: ]", "yaml-bracket"),
        (1, "%name CI", "yaml-syntax"),
        (1, "\tname: CI", "yaml-tab"),
        (4, "    branches: [main", "yaml-bracket"),
        (4, "    branches: [main]]", "yaml-bracket"),
        (4, "    branches: [main] x", "yaml-syntax"),
        (4, "    branches: [${{ x }}]", "yaml-bracket"),
        (4, "    branches: [\"main]", "yaml-quote"),
        (4, "    branches: [*]", "yaml-syntax"),
        (4, "\tbranches: [main]", "yaml-tab"),
        (5, "env: { A: 1", "yaml-bracket"),
        (5, "env: { A: 1 B: 2 }", "yaml-bracket"),
        (5, "env: { A: [1 }", "yaml-bracket"),
        (6, "jobs", "yaml-syntax"),
        (7, "  build", "yaml-syntax"),
        (8, "    runs-on: [self-hosted, linux", "yaml-bracket"),
        (8, "    runs-on [self-hosted, linux]", "yaml-syntax"),
        (8, "   runs-on: x", "yaml-indentation"),
        (10, "      matrix", "yaml-syntax"),
        (11, "        os: ['a, b]", "yaml-quote"),
        (12, "        exclude", "yaml-syntax"),
        (13, "          - os: 'a", "yaml-quote"),
        (14, "    steps", "yaml-syntax"),
        (14, "   steps:", "yaml-indentation"),
        (14, "\tsteps:", "yaml-tab"),
        (15, "      - name: \"first", "yaml-quote"),
        (15, "      - name: first: second", "yaml-syntax"),
        (15, "      - name", "yaml-indentation"),
        (16, "        run: |x", "yaml-syntax"),
        (17, "        echo one", "yaml-syntax"),
        (18, "        echo two", "yaml-syntax"),
        (18, "       echo two", "yaml-indentation"),
        (20, "         with:", "yaml-indentation"),
        (20, "       with:", "yaml-indentation"),
        (20, "        with", "yaml-syntax"),
        (21, "          ref: \"main", "yaml-quote"),
        (21, "          ref: {{ x", "yaml-bracket"),
        (22, "  test", "yaml-syntax"),
        (22, "   test:", "yaml-indentation"),
        (23, "    needs: [build", "yaml-bracket"),
        (23, "    needs: 'build", "yaml-quote"),
        (24, "      runs-on: ubuntu-latest", "yaml-indentation"),
        (26, "   - run: echo", "yaml-indentation"),
        (26, "    - run: \"echo", "yaml-quote"),
    ] {
        let text = with_line(number, line);
        let found = said(&text);
        let [(place, told)] = found[..] else { panic!("{number} {line:?}: {:#?}", problems(&text)) };
        // A line may be right and only the next one not fit it.
        let far = place.abs_diff(u32::try_from(number).unwrap_or(0));
        assert!(
            told == code && (far == 0 || far == 1 && code == "yaml-indentation"),
            "{number} {line:?}: {found:?}"
        );
    }
}

#[test]
fn every_fault_of_a_file_is_told_and_so_is_what_else_is_wrong() {
    let text = "\
name: \"CI
on: pushh
env:
  A: 'it's'
jobs:
  build:
    runs-on: [self-hosted, linux
    steps:
      - name: a: b
        run: |
          echo ${{ foo }}
      - run: echo
        if: always(
      - uses: bad
  test:
    needs: [build, nope]
    runs-on: ubuntu-latest
\tsteps:
      - run: x
  deploy:
    needs: test
    runs-on: %x
    timeout-minutes: soon
    steps:
      - run: *nowhere
      - runn: 1
";
    assert_eq!(
        said(text),
        [
            (1, "yaml-quote"),
            (2, "unexpected-value"),
            (4, "yaml-quote"),
            (7, "yaml-bracket"),
            (9, "yaml-syntax"),
            (10, "expression"),
            (13, "expression"),
            (14, "uses-format"),
            (16, "unknown-job"),
            (18, "yaml-tab"),
            (22, "yaml-syntax"),
            (23, "unexpected-value"),
            (25, "yaml-alias"),
            (26, "unexpected-value"),
            (26, "ambiguous-mapping"),
        ]
    );
}

#[test]
fn what_stands_in_lines_that_cant_be_read_is_not_missed() {
    for text in [
        // The keys that must be there stand in the lines that do not fit.
        "on: push\njobs:\n  a:\n    steps:\n      - run: x\n      runs-on: y\n",
        "jobs:\n  a:\n    runs-on: x\n    steps: [run: x]\n on: push\n",
        "on: push\njobs:\n\ta:\n\t\truns-on: x\n\t\tsteps: [run: x]\n",
        // The anchor and the job that are named stand there.
        "on: push\njobs:\n  a:\n    runs-on: x\n    env: \"&e { A: 1 }\n    steps: [run: x]\n  b:\n    runs-on: x\n    env: *e\n    steps: [run: x]\n",
        "on: push\njobs:\n  a:\n    runs-on: x\n    needs: b\n    steps: [run: x]\n   b:\n    runs-on: x\n    steps: [run: x]\n  c:\n    runs-on: x\n    steps: [run: x]\n",
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: x\n        background: true\n        id: 'b\n      - wait: b\n",
    ] {
        assert_eq!(said(text).len(), 1, "{text}{:#?}", problems(text));
    }
}

#[test]
fn each_name_of_an_anchor_that_is_not_there_is_told() {
    let text =
        "on: push\nenv: { A: *a, B: *b }\njobs:\n  a: *c\n  b:\n    runs-on: x\n    steps: [*d, run: x]\n";
    let messages: Vec<_> = problems(text).into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        messages,
        ["Unknown anchor 'a'", "Unknown anchor 'b'", "Unknown anchor 'c'", "Unknown anchor 'd'"]
    );
}

#[test]
fn the_first_of_two_documents_is_judged() {
    let text = "on: push\nfoo: 1\n---\njobs: {}\n";
    assert_eq!(said(text), [(2, "unexpected-value"), (3, "yaml-documents")]);
}

#[test]
fn a_job_that_waits_for_one_that_waits_for_none_stands_in_no_cycle() {
    let job = |id: &str, needs: &str| format!("  {id}: {{ needs: {needs}, runs-on: x, steps: [run: x] }}\n");
    let text = format!("on: push\njobs:\n{}{}{}", job("a", "[]"), job("b", "[a, nope]"), job("c", "b"));
    assert_eq!(said(&text), [(4, "unknown-job")]);
}

#[test]
fn what_is_no_yaml_at_all_comes_to_an_end() {
    let script = "if [ \"$a\" = 'b ]; then\n\techo \"{ $x: }\n  fi &\n`x`\n".repeat(2_000);
    assert_eq!(problems(&script).len(), 20);
    let quotes = format!("on: push\njobs: {{{}", "a: \"x\\d\", ".repeat(5_000));
    assert_eq!(said(&quotes), [(2, "yaml-escape")]);
}

#[test]
fn a_fault_has_words_for_people() {
    let found = problems(&with_line(8, "    runs-on: [self-hosted, linux"));
    let shown = (found[0].to_string(), found[0].hint.as_deref().unwrap_or_default());
    assert_eq!(
        shown,
        (
            "w.yml (Line: 8, Col: 14): The bracket [ is not closed".to_owned(),
            "close it with ], or quote the value if it is text"
        )
    );
}

#[test]
fn any_number_of_tabs_between_keys_and_values_is_read() {
    let env: String = (0..1000).map(|number| format!("  A{number}:\tx\n")).collect();
    assert_eq!(
        said(&format!("{RIGHT}env2:\t|\n  a:\tb\n").replace("env: { A: 1 }\n", &format!("env:\n{env}"))),
        [(1027, "unexpected-value")]
    );
}

#[test]
fn a_character_that_no_file_may_hold_is_called_so() {
    for text in ["\0\0", "on: push\nname: a\0b\n"] {
        let found = problems(text);
        assert!(
            found.iter().any(|problem| problem.message.contains("a character that YAML does not allow")),
            "{found:?}"
        );
    }
}

/// Lines instead of `os: [a, b]`.
fn with_matrix(lines: &str) -> String {
    with_line(11, lines)
}

#[test]
fn lines_between_brackets_may_be_indented_as_anybody_likes() {
    for lines in [
        "        os: [\n          'a',\n          \"b\"\n        ]",
        "        os: [\n        a,\n        b\n        ]",
        "        os: [\na,\n  # it's right\n  b\n]",
        "        os:\n          - [\n            \"a\",\n            \"b\"\n          ]\n          - [\n            'c'\n          ]",
        "        os: [{\n      a: 1, b: {\n    c: \"2\"\n  }\n        }]",
    ] {
        assert_eq!(said(&with_matrix(lines)), [], "{lines}");
    }
    let many: String =
        (0..200).map(|part| format!("          - [\n            \"{part}\"\n          ]\n")).collect();
    assert_eq!(said(&with_matrix(&format!("        os:\n{many}"))), []);
}

#[test]
fn what_is_wrong_between_such_brackets_is_told_where_it_stands() {
    let text = with_matrix("        os: [\n  'a', \"${{ nothing.here }}\"\n        ]");
    let found = problems(&text);
    let place = found[0].span.as_ref().map(|span| (span.start.line, span.start.column));
    assert_eq!((found.len(), place), (1, Some((12, 8))), "{found:?}");
    assert_eq!(
        said(&with_matrix("        os: [\n        'a'\n        b\n        ]")),
        [(13, "yaml-bracket")]
    );
    assert_eq!(said(&with_matrix("        os: [\n          'a'")), [(11, "yaml-bracket")]);
}
