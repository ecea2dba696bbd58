//! Text with `${{ }}` in it to an expression, and trees of expressions to values.

use std::sync::Arc;

use model::Template;

use super::evaluator::failed;
use super::{Allowed, EvaluateError, Expression, Object, ParseError, Scope, Value};

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// The directive that splices a mapping.
const INSERT: &str = "insert";

/// Levels of a template that are followed; GitHub reads at most 50 from a file.
const MAX_DEPTH: usize = 100;

/// Part of a text.
enum Segment<'a> {
    Text(&'a str),
    Expression(&'a str),
}

/// Turns a scalar into a template, as GitHub does it.
///
/// A text without `${{` stays text. One that is a single expression becomes it; a lone string
/// literal (`${{ 'a {{ b }}' }}`) becomes its text, and `${{ insert }}` the expression `insert`.
/// Text and expressions mixed become `format('text {0}', expression)`. Every expression is
/// checked against `allowed`; `${{ }}` and an expression that is not closed are errors.
pub fn fold_text(text: &str, allowed: Option<&Allowed<'_>>) -> Result<Template, ParseError> {
    if !text.contains(OPEN) {
        return Ok(Template::text(text));
    }
    let segments = split(text, allowed)?;
    if let [Segment::Expression(source)] = segments[..] {
        return Ok(string_literal(source).map_or_else(|| Template::expression(source), Template::String));
    }
    let source = join(&segments);
    // Together they may be too long or too deep.
    Expression::parse(&source, allowed)?;
    Ok(Template::Expression(source))
}

fn split<'a>(text: &'a str, allowed: Option<&Allowed<'_>>) -> Result<Vec<Segment<'a>>, ParseError> {
    let mut segments = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(OPEN) {
        if open > 0 {
            segments.push(Segment::Text(&rest[..open]));
        }
        let body = &rest[open + OPEN.len()..];
        let close = find_close(body).ok_or_else(|| ParseError {
            message: "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found.".to_owned(),
        })?;
        rest = &body[close + CLOSE.len()..];
        let source = body[..close].trim();
        let is_whole = segments.is_empty() && rest.is_empty();
        check_expression(source, is_whole, allowed)?;
        segments.push(Segment::Expression(source));
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest));
    }
    Ok(segments)
}

/// Where the first `}}` outside of a string begins.
fn find_close(body: &str) -> Option<usize> {
    let bytes = body.as_bytes();
    let mut in_string = false;
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'\'' => in_string = !in_string,
            b'}' if !in_string && place > 0 && bytes[place - 1] == b'}' => return Some(place - 1),
            _ => {}
        }
    }
    None
}

fn check_expression(source: &str, is_whole: bool, allowed: Option<&Allowed<'_>>) -> Result<(), ParseError> {
    if source.is_empty() {
        return Err(ParseError { message: "An expression was expected".to_owned() });
    }
    let parameters =
        source.strip_prefix(INSERT).filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
    let Some(parameters) = parameters else { return Expression::parse(source, allowed).map(drop) };
    let count = parameters.split_whitespace().count();
    if count > 0 {
        return Err(ParseError {
            message: format!(
                "Exactly 0 parameter(s) were expected following the directive '{INSERT}'. Actual parameter count: {count}"
            ),
        });
    }
    if !is_whole {
        return Err(ParseError {
            message: format!(
                "The directive '{INSERT}' is not allowed in this context. Directives are not supported for expressions that are embedded within a string. Directives are only supported when the entire value is an expression."
            ),
        });
    }
    Ok(())
}

/// The text of an expression that is one string literal.
fn string_literal(source: &str) -> Option<String> {
    let inner = source.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character == '\'' && characters.next() != Some('\'') {
            return None;
        }
        text.push(character);
    }
    Some(text)
}

/// `format('text {0}', expression)`.
fn join(segments: &[Segment<'_>]) -> String {
    let (mut pattern, mut arguments, mut count) = (String::new(), String::new(), 0);
    for segment in segments {
        match segment {
            Segment::Text(text) => {
                pattern.push_str(&text.replace('\'', "''").replace('{', "{{").replace('}', "}}"));
            }
            Segment::Expression(source) => {
                pattern.push_str(&format!("{{{count}}}"));
                arguments.push_str(", ");
                arguments.push_str(source);
                count += 1;
            }
        }
    }
    format!("format('{pattern}'{arguments})")
}

/// Evaluates all expressions of a template.
///
/// `${{ insert }}` keys splice the mapping that they hold; other keys become text. An expression
/// that stands in a list and is worth a list is spliced into it. The same key twice is an error.
pub fn evaluate_template(template: &Template, scope: &dyn Scope) -> Result<Value, EvaluateError> {
    evaluate(template, scope, 0)
}

fn evaluate(template: &Template, scope: &dyn Scope, depth: usize) -> Result<Value, EvaluateError> {
    if depth > MAX_DEPTH {
        return Err(failed("Maximum object depth exceeded"));
    }
    Ok(match template {
        Template::Null => Value::Null,
        Template::Bool(value) => Value::Bool(*value),
        Template::Number(number) => Value::Number(*number),
        Template::String(text) => Value::from(text.as_str()),
        Template::Expression(source) => evaluate_source(source, scope)?,
        Template::Sequence(items) => Value::array(evaluate_items(items, scope, depth)?),
        Template::Mapping(pairs) => {
            let mut object = Object::new();
            for (key, value) in pairs {
                evaluate_pair(key, value, scope, depth, &mut object)?;
            }
            Value::object(object)
        }
    })
}

fn evaluate_source(source: &str, scope: &dyn Scope) -> Result<Value, EvaluateError> {
    let expression = Expression::parse(source, None).map_err(|error| failed(error.message))?;
    expression.evaluate(scope)
}

fn evaluate_items(items: &[Template], scope: &dyn Scope, depth: usize) -> Result<Vec<Value>, EvaluateError> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let value = evaluate(item, scope, depth + 1)?;
        match (item, value) {
            (Template::Expression(_), Value::Array(spliced)) => values.extend(spliced.iter().cloned()),
            (_, value) => values.push(value),
        }
    }
    Ok(values)
}

fn evaluate_pair(
    key: &Template,
    value: &Template,
    scope: &dyn Scope,
    depth: usize,
    object: &mut Object,
) -> Result<(), EvaluateError> {
    if matches!(key, Template::Expression(source) if source == INSERT) {
        let Value::Object(spliced) = evaluate(value, scope, depth + 1)? else {
            return Err(failed("Expected a mapping"));
        };
        return spliced.iter().try_for_each(|(key, value)| define(object, key.into(), value.clone()));
    }
    let key = evaluate(key, scope, depth + 1)?;
    if !key.is_primitive() {
        return Err(failed("Expected a scalar value"));
    }
    define(object, key.text().into(), evaluate(value, scope, depth + 1)?)
}

fn define(object: &mut Object, key: Arc<str>, value: Value) -> Result<(), EvaluateError> {
    if object.get(&key).is_some() {
        return Err(failed(format!("'{key}' is already defined")));
    }
    object.insert(key, value);
    Ok(())
}
