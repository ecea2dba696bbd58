//! Behaviour of the language that the conformance data leaves open.

use model::Template;
use serde_json::{Value as Json, json};

use super::*;

/// Contexts from JSON; the run goes well.
struct Contexts(Object);

impl Contexts {
    fn new(contexts: &Json) -> Contexts {
        let Value::Object(contexts) = Value::from_json(contexts) else { panic!("contexts by name") };
        Contexts((*contexts).clone())
    }
}

impl Scope for Contexts {
    fn context(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }

    fn status(&self, function: &str) -> Option<bool> {
        Some(matches!(function, "success" | "always"))
    }
}

fn evaluate_with(source: &str, contexts: &Json) -> Result<Json, String> {
    let expression = Expression::parse(source, None).map_err(|error| error.message)?;
    let value = expression.evaluate(&Contexts::new(contexts)).map_err(|error| error.to_string())?;
    Ok(value.to_json())
}

fn evaluate(source: &str) -> Json {
    evaluate_with(source, &json!({})).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn error_of(source: &str) -> String {
    match evaluate_with(source, &json!({})) {
        Ok(value) => panic!("{source} is {value}"),
        Err(message) => message,
    }
}

#[test]
fn what_is_not_needed_is_not_evaluated() {
    let wrong = "fromJSON('{')";
    assert_eq!(evaluate(&format!("false && {wrong}")), json!(false));
    assert_eq!(evaluate(&format!("1 || {wrong}")), json!(1));
    assert_eq!(evaluate(&format!("case(true, 1, {wrong}, 2, 3)")), json!(1));
    assert_eq!(evaluate(&format!("case(false, {wrong}, 2)")), json!(2));
    assert_eq!(evaluate(&format!("format('{{1}}', {wrong}, 2)")), json!("2"));
    assert_eq!(evaluate(&format!("join('a', {wrong})")), json!("a"));
    assert_eq!(evaluate(&format!("contains(fromJSON('[]'), {wrong})")), json!(false));
    assert_eq!(evaluate(&format!("github.x[{wrong}]")), json!(null));
    assert!(error_of(&format!("contains('a', {wrong})")).starts_with("Error parsing fromJson: "));
}

#[test]
fn a_filter_applies_what_follows_to_each_of_its_items() {
    let contexts = json!({"github": {
        "list": [{"a": [1, 2], "b": {"c": 3}}, {"A": [4]}, 5, null],
        "map": {"x": {"n": 1}, "y": {"n": 2}, "z": 7}
    }});
    for (source, value) in [
        ("github.list.*.a", json!([[1, 2], [4]])),
        ("github.list.*.a.*", json!([1, 2, 4])),
        ("github.list.*.a[1]", json!([2])),
        ("github.list[*].b.c", json!([3])),
        ("github.list.*.*", json!([[1, 2], {"c": 3}, [4]])),
        ("(github.list.*).a", json!([[1, 2], [4]])),
        ("(false || github.list.*).a", json!([[1, 2], [4]])),
        ("case(true, github.list.*, 1).a", json!([[1, 2], [4]])),
        ("github.map.*.n", json!([1, 2])),
        ("github.map['*']", json!(null)),
        ("github.list[1.9].a[0]", json!(4)),
        ("github.list['1'].a", json!([4])),
        ("github.map[*.x]", json!(null)),
        ("toJSON(github.list.*.a[0])", json!("[\n  1,\n  4\n]")),
    ] {
        assert_eq!(evaluate_with(source, &contexts).as_ref(), Ok(&value), "{source}");
    }
}

#[test]
fn lists_and_mappings_equal_only_themselves() {
    let contexts = json!({"github": {"a": [1], "b": [1], "o": {}}});
    for (source, value) in [
        ("github.a == github.a", true),
        ("github.a == github.b", false),
        ("github.o == github.o", true),
        ("github.o >= github.o", true),
        ("github.o > github.o", false),
        ("github.a.* == github.a.*", false),
        ("contains(fromJSON('[[]]'), fromJSON('[]'))", false),
        ("null >= null", true),
        ("null < null", false),
        ("null == ''", true),
        ("'ß' == 'SS'", false),
    ] {
        assert_eq!(evaluate_with(source, &contexts), Ok(json!(value)), "{source}");
    }
}

#[test]
fn format_replaces_and_escapes_as_github_does() {
    for (source, text) in [
        ("format('{0}{{{1}}}{0}', 'a', 'b')", "a{b}a"),
        ("format('no arguments')", "no arguments"),
        ("format('{0}', '{1}')", "{1}"),
        ("format('{00}', 1e15)", "1E+15"),
        ("format('{{{{}}}}')", "{{}}"),
    ] {
        assert_eq!(evaluate(source), json!(text), "{source}");
    }
    for (source, error) in [
        (
            "format('{1}', 'a')",
            "The following format string references more arguments than were supplied: {1}",
        ),
        ("format('{256}', 'a')", "The following format string is invalid: {256}"),
        ("format('{-1}', 'a')", "The following format string is invalid: {-1}"),
        ("format('{ 0}', 'a')", "The following format string is invalid: { 0}"),
        ("format('{}', 'a')", "The following format string is invalid: {}"),
        ("format('ü{0', 'a')", "The following format string is invalid: ü{0"),
        ("format('{0:x}}y}', 1)", "The format specifiers 'x}y' are not valid for objects of type 'Number'"),
    ] {
        assert!(error_of(source).contains(error), "{source}: {}", error_of(source));
    }
}

#[test]
fn json_is_written_as_github_writes_it() {
    let contexts =
        json!({"github": {"a": "\u{0}\u{1f}\u{7f}\u{85}\u{2028}ü/'\"\\\n", "n": [1e21, -0.0, 0.1]}});
    assert_eq!(
        evaluate_with("toJSON(github.a)", &contexts),
        Ok(json!("\"\\u0000\\u001f\u{7f}\\u0085\\u2028ü/'\\\"\\\\\\n\""))
    );
    assert_eq!(evaluate_with("toJSON(github.n)", &contexts), Ok(json!("[\n  1E+21,\n  0,\n  0.1\n]")));
    assert_eq!(evaluate("toJSON(NaN)"), json!("NaN"));
    assert_eq!(evaluate("toJSON(fromJSON('{\"b\":{\"c\":[]},\"a\":1}'))"), {
        json!("{\n  \"b\": {\n    \"c\": []\n  },\n  \"a\": 1\n}")
    });
}

#[test]
fn json_is_read_to_a_bounded_depth_and_refused_with_a_reason() {
    assert_eq!(evaluate("fromJSON('{\"A\":1,\"b\":2,\"a\":3}')"), json!({"A": 3, "b": 2}));
    assert_eq!(error_of("fromJSON('')"), "Error parsing fromJson: empty input");
    assert_eq!(evaluate("fromJSON('{''os'': [''linux'',]}').os[0]"), json!("linux"));
    assert_eq!(evaluate("fromJSON(toJSON(-Infinity)) < 0"), json!(true));
    for text in ["{", "nul", "[True]"] {
        let message = error_of(&format!("fromJSON('{text}')"));
        assert!(message.starts_with("Error parsing fromJson: "), "{message}");
    }
    let contexts = json!({"github": {"deep": "[".repeat(100_000)}});
    assert!(evaluate_with("fromJSON(github.deep)", &contexts).is_err());
}

#[test]
fn results_that_fill_memory_are_refused() {
    let mut source = "'0123456789'".to_owned();
    for _ in 0..12 {
        source = format!("format('{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}', {source})");
    }
    assert!(error_of(&source).starts_with("The maximum allowed memory size was exceeded"));
}

#[test]
fn errors_name_the_token_its_place_and_the_expression() {
    let long = format!("'{}'", "a".repeat(21_000));
    for (source, error) in [
        ("github.", "Unexpected end of expression: '.'. Located at position 7 within expression: github."),
        (
            "contains(1",
            "Unexpected end of expression: '1'. Located at position 10 within expression: contains(1",
        ),
        ("contains(1,)", "Unexpected symbol: ')'. Located at position 12 within expression: contains(1,)"),
        ("(1]", "Unexpected symbol: ']'. Located at position 3 within expression: (1]"),
        ("(1, 2)", "Unexpected symbol: ','. Located at position 3 within expression: (1, 2)"),
        ("'a'[0]", "Unexpected symbol: '['. Located at position 4 within expression: 'a'[0]"),
        ("'😊' @", "Unexpected symbol: '@'. Located at position 6 within expression: '😊' @"),
        (
            "Env.x || foo",
            "Unrecognized named-value: 'foo'. Located at position 10 within expression: Env.x || foo",
        ),
        ("toJSON", "Unrecognized named-value: 'toJSON'. Located at position 1 within expression: toJSON"),
        (
            "toJSON (1, 2)",
            "Too many parameters supplied: 'toJSON'. Located at position 1 within expression: toJSON (1, 2)",
        ),
        (
            "1 && case()",
            "Too few parameters supplied: 'case'. Located at position 6 within expression: 1 && case()",
        ),
        ("()", "Unexpected symbol: ')'. Located at position 2 within expression: ()"),
        ("-NaN", "Unexpected symbol: '-NaN'. Located at position 1 within expression: -NaN"),
        ("1 2", "Unexpected symbol: '2'. Located at position 3 within expression: 1 2"),
        ("True", "Unrecognized named-value: 'True'. Located at position 1 within expression: True"),
        (&long, "Exceeded max expression length 21000"),
    ] {
        assert_eq!(error_of(source), error, "{source}");
    }
}

#[test]
fn names_and_functions_are_held_to_what_is_allowed() {
    let allowed = Allowed { contexts: &["github"], functions: &["hashFiles(1,2)", "success(0,0)", "always"] };
    let parse =
        |source: &str| Expression::parse(source, Some(&allowed)).map(drop).map_err(|error| error.message);
    for source in ["GitHub.ref", "HASHFILES('a', 'b')", "success()", "always()", "toJSON(github)"] {
        assert_eq!(parse(source), Ok(()), "{source}");
    }
    for (source, error) in [
        ("env.x", "Unrecognized named-value: 'env'."),
        ("failure()", "Unrecognized function: 'failure'."),
        ("hashFiles()", "Too few parameters supplied: 'hashFiles'."),
        ("hashFiles(1, 2, 3)", "Too many parameters supplied: 'hashFiles'."),
        ("success('a')", "Too many parameters supplied: 'success'."),
        ("always(1)", "Too many parameters supplied: 'always'."),
    ] {
        let message = parse(source).expect_err(source);
        assert!(message.starts_with(error), "{message}");
    }
}

#[test]
fn nesting_of_any_kind_is_survived() {
    let parens = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(evaluate(&parens), json!(1));
    assert_eq!(error_of(&format!("{}1", "!".repeat(20_000))), "Exceeded max expression depth 50");
    assert!(error_of(&"(".repeat(20_000)).starts_with("Unexpected end of expression: '('"));
    let mixed = format!("{}1{}", "(!".repeat(5_000), ")".repeat(5_000));
    assert_eq!(error_of(&mixed), "Exceeded max expression depth 50");
    let chain = vec!["1"; 4_000].join(" && ");
    assert_eq!(evaluate(&chain), json!(1));
}

#[test]
fn status_functions_are_found_and_asked_for() {
    let calls = |source: &str| Expression::parse(source, None).expect(source).calls_status_function();
    assert!(calls("github.x == 'y' && !Cancelled()"));
    assert!(!calls("contains('success()', 'failure()')"));
    assert_eq!(evaluate("success() && !failure()"), json!(true));
}

#[test]
fn hash_files_asks_the_caller_for_what_it_needs() {
    let expression = Expression::parse("format('{0}', hashFiles('a', 1))", None).expect("it is one");
    assert_eq!(
        expression.evaluate(&Contexts::new(&json!({}))).map(drop),
        Err(EvaluateError::NeedsHashFiles(vec!["a".to_owned(), "1".to_owned()]))
    );
}

#[test]
fn text_with_expressions_becomes_one_expression() {
    for (text, template) in [
        ("plain $ {{ }}", Template::text("plain $ {{ }}")),
        ("${{ github.ref }}", Template::expression("github.ref")),
        ("${{ '{{ it''s }}' }}", Template::text("{{ it's }}")),
        ("${{ 'a' == 'b' }}", Template::expression("'a' == 'b'")),
        ("${{ insert }}", Template::expression("insert")),
        ("a ${{ github.ref }}", Template::expression("format('a {0}', github.ref)")),
        ("${{env.a}}${{ env.b }}", Template::expression("format('{0}{1}', env.a, env.b)")),
        ("it's {x} ${{ '}}' }}!", Template::expression("format('it''s {{x}} {0}!', '}}')")),
        ("ü${{ env.a }}😊", Template::expression("format('ü{0}😊', env.a)")),
    ] {
        assert_eq!(fold_text(text, None).as_ref(), Ok(&template), "{text}");
    }
}

#[test]
fn text_with_wrong_expressions_is_refused_in_githubs_words() {
    let long = format!("{}${{{{ env.a }}}}", "a".repeat(21_000));
    for (text, error) in [
        ("${{ env.a }", "The expression is not closed. An unescaped ${{ sequence was found,"),
        ("${{ env.a '}}", "The expression is not closed. An unescaped ${{ sequence was found,"),
        ("a ${{ }}", "An expression was expected"),
        ("${{ nope }}", "Unrecognized named-value: 'nope'. Located at position 1 within expression: nope"),
        ("a ${{ insert }}", "The directive 'insert' is not allowed in this context. Directives are not"),
        (
            "${{ insert a b }}",
            "Exactly 0 parameter(s) were expected following the directive 'insert'. Actual parameter count: 2",
        ),
        (&long, "Exceeded max expression length 21000"),
    ] {
        let message = fold_text(text, None).expect_err(text).message;
        assert!(message.starts_with(error), "{message}");
    }
}

#[test]
fn templates_are_evaluated_with_their_keys() {
    let insert = (Template::expression("insert"), Template::expression("github.more"));
    let template = Template::Mapping(vec![
        (Template::expression("format('k{0}', 1)"), Template::Number(1.5)),
        insert.clone(),
        (
            Template::text("list"),
            Template::Sequence(vec![
                Template::Null,
                Template::expression("github.items"),
                Template::Bool(true),
            ]),
        ),
    ]);
    let scope = Contexts::new(&json!({"github": {"more": {"x": 1, "y": [2]}, "items": [3, [4]]}}));
    let value = evaluate_template(&template, &scope).map(|value| value.to_json());
    assert_eq!(value, Ok(json!({"k1": 1.5, "x": 1, "y": [2], "list": [null, 3, [4], true]})));

    let twice = Template::Mapping(vec![(Template::text("X"), Template::Null), insert]);
    let error = evaluate_template(&twice, &scope).map(drop);
    assert_eq!(error, Err(EvaluateError::Failed("'x' is already defined".to_owned())));
    let no_mapping = Template::Mapping(vec![(Template::expression("insert"), Template::text("a"))]);
    let error = evaluate_template(&no_mapping, &scope).map(drop);
    assert_eq!(error, Err(EvaluateError::Failed("Expected a mapping".to_owned())));
}

/// A small generator of numbers: the tests must find the same thing every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}

#[test]
fn no_sequence_of_tokens_makes_the_parser_or_the_evaluator_panic() {
    const PIECES: [&str; 44] = [
        "github",
        "env",
        ".",
        "*",
        "[",
        "]",
        "(",
        ")",
        ",",
        "!",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "&&",
        "||",
        "'a'",
        "'ü''😊'",
        "'",
        "0",
        "-1.5",
        "0xfF",
        "1e9999",
        "NaN",
        "Infinity",
        "null",
        "true",
        "contains(",
        "format(",
        "toJSON(",
        "fromJSON(",
        "join(",
        "case(",
        "startsWith(",
        "hashFiles(",
        "success(",
        " ",
        "\u{a0}",
        "\u{0}",
        "=",
        "é",
        "'{0}{1}'",
    ];
    let contexts = json!({"github": {"a": [1, {"b": "c"}], "d": "é"}, "env": [[], "{\"a\":1}"]});
    let scope = Contexts::new(&contexts);
    let mut random = Random(7);
    let mut evaluated = 0;
    for _ in 0..60_000 {
        let length = 1 + random.below(12);
        let source: String = (0..length).map(|_| PIECES[random.below(PIECES.len())]).collect();
        if let Ok(expression) = Expression::parse(&source, None) {
            let _ = expression.evaluate(&scope);
            evaluated += 1;
        }
        let _ = fold_text(&format!("{{'${{{{{source}}}}}"), None);
    }
    assert!(evaluated > 500, "only {evaluated} were expressions: the generator is too wild");
}

#[test]
fn no_text_at_all_makes_the_parser_panic() {
    let mut random = Random(11);
    for _ in 0..20_000 {
        let length = random.below(24);
        let source: String = (0..length)
            .filter_map(|_| {
                let bound = [0x80, 0x250, 0x3000, 0x11_0000][random.below(4)];
                char::from_u32(u32::try_from(random.below(bound)).unwrap_or(0))
            })
            .collect();
        let _ = Expression::parse(&source, None);
        let _ = fold_text(&source, None);
    }
}

#[test]
fn no_text_at_all_makes_from_json_panic() {
    const PIECES: [&str; 26] = [
        "{", "}", "[", "]", ",", ":", "\"", "'", "\\", "\\u", "d83d", "de0a", "12", "-", ".", "e", "0x",
        "true", "nul", "NaN", "/*", "*/", "//", "\n", "é", "😊",
    ];
    let expression = Expression::parse("toJSON(fromJSON(github.text))", None).expect("it is one");
    let mut random = Random(13);
    let mut read = 0;
    for _ in 0..60_000 {
        let length = random.below(10);
        let text: String = (0..length).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let scope = Contexts::new(&json!({"github": {"text": text}}));
        read += usize::from(expression.evaluate(&scope).is_ok());
    }
    assert!(read > 500, "only {read} were JSON: the generator is too wild");
}
