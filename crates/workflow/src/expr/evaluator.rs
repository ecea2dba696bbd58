//! A syntax tree and contexts to a value.

use std::cmp::Ordering;

use super::budget::Budget;
use super::function::Function;
use super::lexer::Operator;
use super::tree::{Node, NodeId, Tree};
use super::{EvaluateError, Scope, Value, format, json, ordinal};

/// Evaluates a whole expression.
pub(super) fn evaluate(tree: &Tree, source: &str, scope: &dyn Scope) -> Result<Value, EvaluateError> {
    let Some(root) = tree.root() else { return Ok(Value::Null) };
    let mut evaluator = Evaluator { tree, scope, budget: Budget::new(source) };
    evaluator.evaluate(root).map(|evaluated| evaluated.value)
}

/// Evaluates the nodes of one tree. Recursion is bounded by the tree's depth.
pub(super) struct Evaluator<'a> {
    tree: &'a Tree,
    scope: &'a dyn Scope,
    /// What its results may still hold.
    pub(super) budget: Budget<'a>,
}

/// A value, and whether it came from a `*`: then an index means each of its items.
struct Evaluated {
    value: Value,
    filtered: bool,
}

impl From<Value> for Evaluated {
    fn from(value: Value) -> Evaluated {
        Evaluated { value, filtered: false }
    }
}

impl Evaluator<'_> {
    /// The value of an argument.
    pub(super) fn value(&mut self, id: NodeId) -> Result<Value, EvaluateError> {
        Ok(self.evaluate(id)?.value)
    }

    fn evaluate(&mut self, id: NodeId) -> Result<Evaluated, EvaluateError> {
        let tree = self.tree;
        Ok(match tree.node(id) {
            Node::Literal(value) => value.clone().into(),
            Node::Context(name) => self.scope.context(name).unwrap_or(Value::Null).into(),
            // Only as part of a larger index: `a[*]` is looked at by its index.
            Node::Wildcard => Value::from("*").into(),
            Node::Index { object, index } => self.index(*object, *index)?,
            Node::Not(operand) => Value::Bool(!self.value(*operand)?.truthy()).into(),
            Node::Compare { operator, left, right } => {
                let (left, right) = (self.value(*left)?, self.value(*right)?);
                Value::Bool(compare(*operator, &left, &right)).into()
            }
            Node::And(operands) => self.first(operands, |value| !value.truthy())?,
            Node::Or(operands) => self.first(operands, Value::truthy)?,
            Node::Call { function, arguments } => self.call(*function, arguments)?,
        })
    }

    /// The first operand that decides, else the last; the others after it are not evaluated.
    fn first(
        &mut self,
        operands: &[NodeId],
        decides: impl Fn(&Value) -> bool,
    ) -> Result<Evaluated, EvaluateError> {
        let mut result = Evaluated::from(Value::Null);
        for operand in operands {
            result = self.evaluate(*operand)?;
            if decides(&result.value) {
                break;
            }
        }
        Ok(result)
    }

    fn index(&mut self, object: NodeId, index: NodeId) -> Result<Evaluated, EvaluateError> {
        let object = self.evaluate(object)?;
        let wildcard = matches!(self.tree.node(index), Node::Wildcard);
        if object.value.is_primitive() {
            let nothing = if wildcard { Value::array(Vec::new()) } else { Value::Null };
            return Ok(Evaluated { value: nothing, filtered: wildcard });
        }
        let key = if wildcard { Key::Wildcard } else { Key::Value(self.value(index)?) };
        match &object.value {
            Value::Array(items) if object.filtered => {
                let mut found = Vec::new();
                for item in items.iter() {
                    key.collect(item, &mut found);
                }
                self.filtered(found)
            }
            _ if wildcard => {
                let mut found = Vec::new();
                key.collect(&object.value, &mut found);
                self.filtered(found)
            }
            value => Ok(key.find(value).cloned().unwrap_or(Value::Null).into()),
        }
    }

    fn filtered(&mut self, items: Vec<Value>) -> Result<Evaluated, EvaluateError> {
        self.budget.spend(items.len().saturating_mul(size_of::<Value>()))?;
        Ok(Evaluated { value: Value::array(items), filtered: true })
    }

    fn call(&mut self, function: Function, arguments: &[NodeId]) -> Result<Evaluated, EvaluateError> {
        let value = match function {
            Function::Case => return self.case(arguments),
            Function::Contains => Value::Bool(self.contains(arguments)?),
            Function::StartsWith => Value::Bool(self.affix(arguments, ordinal::starts_with)?),
            Function::EndsWith => Value::Bool(self.affix(arguments, ordinal::ends_with)?),
            Function::Format => format::format(self, arguments)?,
            Function::FromJson => {
                let text = self.argument(arguments, 0)?;
                self.budget.spend(text.text().len().saturating_mul(json::BYTES_PER_BYTE))?;
                json::parse(&text.text())?
            }
            Function::ToJson => {
                let value = self.argument(arguments, 0)?;
                Value::from(json::write(&value, &mut self.budget)?)
            }
            Function::Join => self.join(arguments)?,
            Function::HashFiles => {
                let patterns = self.texts(arguments)?;
                Value::from(self.scope.hash_files(&patterns)?)
            }
            Function::Always | Function::Cancelled | Function::Failure | Function::Success => {
                Value::Bool(self.status(function, arguments)?)
            }
        };
        Ok(value.into())
    }

    /// An argument by number; null where there is none.
    fn argument(&mut self, arguments: &[NodeId], number: usize) -> Result<Value, EvaluateError> {
        arguments.get(number).map_or(Ok(Value::Null), |id| self.value(*id))
    }

    fn texts(&mut self, arguments: &[NodeId]) -> Result<Vec<String>, EvaluateError> {
        arguments.iter().map(|id| Ok(self.value(*id)?.to_text())).collect()
    }

    fn case(&mut self, arguments: &[NodeId]) -> Result<Evaluated, EvaluateError> {
        let (pairs, default) = arguments.as_chunks::<2>();
        for [predicate, result] in pairs {
            match self.value(*predicate)? {
                Value::Bool(true) => return self.evaluate(*result),
                Value::Bool(false) => {}
                _ => return Err(failed("case predicate must evaluate to a boolean value")),
            }
        }
        default.first().map_or(Ok(Value::Null.into()), |id| self.evaluate(*id))
    }

    fn contains(&mut self, arguments: &[NodeId]) -> Result<bool, EvaluateError> {
        let search = self.argument(arguments, 0)?;
        Ok(match &search {
            Value::Object(_) => false,
            Value::Array(items) if items.is_empty() => false,
            Value::Array(items) => {
                let item = self.argument(arguments, 1)?;
                items.iter().any(|candidate| item.equals(candidate))
            }
            text => {
                let item = self.argument(arguments, 1)?;
                item.is_primitive() && ordinal::contains(&text.text(), &item.text())
            }
        })
    }

    fn affix(
        &mut self,
        arguments: &[NodeId],
        matches: impl Fn(&str, &str) -> bool,
    ) -> Result<bool, EvaluateError> {
        let text = self.argument(arguments, 0)?;
        if !text.is_primitive() {
            return Ok(false);
        }
        let affix = self.argument(arguments, 1)?;
        Ok(affix.is_primitive() && matches(&text.text(), &affix.text()))
    }

    fn join(&mut self, arguments: &[NodeId]) -> Result<Value, EvaluateError> {
        let items = self.argument(arguments, 0)?;
        let Value::Array(items) = &items else {
            return Ok(if items.is_primitive() { Value::from(items.to_text()) } else { Value::from("") });
        };
        let separator = match arguments.get(1) {
            Some(id) if items.len() > 1 => Some(self.value(*id)?).filter(Value::is_primitive),
            _ => None,
        };
        let separator = separator.as_ref().map_or(std::borrow::Cow::Borrowed(","), Value::text);
        let mut joined = String::new();
        for (place, item) in items.iter().enumerate() {
            let separator = if place == 0 { "" } else { &separator };
            let text = item.text();
            self.budget.spend(separator.len() + text.len())?;
            joined.push_str(separator);
            joined.push_str(&text);
        }
        Ok(Value::from(joined))
    }

    fn status(&mut self, function: Function, arguments: &[NodeId]) -> Result<bool, EvaluateError> {
        let name = function.name();
        let status = if arguments.is_empty() {
            self.scope.status(name)
        } else {
            let jobs = self.texts(arguments)?;
            self.scope.status_of_jobs(name, &jobs)
        };
        status.ok_or_else(|| failed(format!("{name}() can't be called here")))
    }
}

/// What stands between brackets or after a dot.
enum Key {
    Wildcard,
    Value(Value),
}

impl Key {
    /// Adds what the key finds in one item of a filtered list; what is missing is left out.
    fn collect(&self, item: &Value, found: &mut Vec<Value>) {
        match (self, item) {
            (Key::Wildcard, Value::Array(items)) => found.extend(items.iter().cloned()),
            (Key::Wildcard, Value::Object(object)) => {
                found.extend(object.iter().map(|(_, value)| value.clone()));
            }
            _ => found.extend(self.find(item).cloned()),
        }
    }

    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let Key::Value(key) = self else { return None };
        match value {
            Value::Object(object) if key.is_primitive() => object.get(&key.text()),
            Value::Array(items) => items.get(list_place(key.to_number())?),
            _ => None,
        }
    }
}

/// A place in a list: a number rounded down, if it is one and not negative.
fn list_place(number: f64) -> Option<usize> {
    if !(0.0..=f64::from(i32::MAX)).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Some(number as usize)
}

fn compare(operator: Operator, left: &Value, right: &Value) -> bool {
    let order = || left.order(right);
    match operator {
        Operator::Equal => left.equals(right),
        Operator::NotEqual => !left.equals(right),
        Operator::Greater => order() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => left.equals(right) || order() == Some(Ordering::Greater),
        Operator::Less => order() == Some(Ordering::Less),
        Operator::LessOrEqual => left.equals(right) || order() == Some(Ordering::Less),
        Operator::Not | Operator::And | Operator::Or => false,
    }
}

/// An error in GitHub's words.
pub(super) fn failed(message: impl Into<String>) -> EvaluateError {
    EvaluateError::Failed(message.into())
}
