//! Tokens to a syntax tree, by precedence, with two stacks and no recursion: an expression can't
//! exhaust the thread's stack however it nests.

use super::function::{Arity, Function};
use super::lexer::{Lexer, Operator, Token, TokenKind};
use super::tree::{Node, NodeId, Tree};
use super::{Allowed, ParseError, Value};

/// Levels of a syntax tree: GitHub's limit.
const MAX_DEPTH: usize = 50;

/// UTF-16 code units of an expression: GitHub's limit.
const MAX_LENGTH: usize = 21_000;

/// Parses a whole expression.
pub(super) fn parse(source: &str, allowed: Option<&Allowed<'_>>) -> Result<Tree, ParseError> {
    // UTF-16 never has more units than UTF-8 has bytes.
    if source.len() > MAX_LENGTH && source.encode_utf16().count() > MAX_LENGTH {
        return Err(ParseError { message: format!("Exceeded max expression length {MAX_LENGTH}") });
    }
    let parser = Parser {
        source,
        allowed,
        tree: Tree::default(),
        operands: Vec::new(),
        pending: Vec::new(),
        after_dereference: false,
    };
    parser.run()
}

struct Parser<'a> {
    source: &'a str,
    allowed: Option<&'a Allowed<'a>>,
    tree: Tree,
    /// Finished parts that wait for their operator.
    operands: Vec<NodeId>,
    /// What waits for the rest of its operands.
    pending: Vec<Pending<'a>>,
    /// Whether the token before was `.`, which is applied with the name after it.
    after_dereference: bool,
}

/// What has begun and not ended.
enum Pending<'a> {
    Operator(Operator),
    Group,
    Index,
    Call(Call<'a>),
}

struct Call<'a> {
    function: Function,
    arity: Arity,
    name: Token<'a>,
    /// How many operands there were before its arguments.
    operands_before: usize,
}

impl<'a> Parser<'a> {
    fn run(mut self) -> Result<Tree, ParseError> {
        let mut lexer = Lexer::new(self.source);
        let mut last = None;
        while let Some(token) = lexer.next()? {
            let is_unfinished = matches!(token.kind, TokenKind::Operator(_) | TokenKind::Dereference);
            last = Some((is_unfinished, token.raw, token.offset));
            self.push(token)?;
        }
        let Some((is_unfinished, raw, offset)) = last else { return Ok(self.tree) };
        if is_unfinished || !lexer.is_balanced() {
            return Err(ParseError::at("Unexpected end of expression", raw, offset, self.source));
        }
        self.apply_operators(|_| true);
        if let Some(root) = self.operands.pop() {
            self.tree.set_root(root);
        }
        if self.tree.depth() > MAX_DEPTH {
            return Err(ParseError { message: format!("Exceeded max expression depth {MAX_DEPTH}") });
        }
        Ok(self.tree)
    }

    fn push(&mut self, token: Token<'a>) -> Result<(), ParseError> {
        match token.kind {
            TokenKind::Null => self.push_node(Node::Literal(Value::Null)),
            TokenKind::Bool(value) => self.push_node(Node::Literal(Value::Bool(value))),
            TokenKind::Number(number) => self.push_node(Node::Literal(Value::Number(number))),
            TokenKind::String(text) => self.push_node(Node::Literal(Value::string(text))),
            TokenKind::NamedValue => self.push_context(&token)?,
            TokenKind::PropertyName => {
                self.push_node(Node::Literal(Value::string(token.raw)));
                self.after_dereference = false;
                self.apply_index();
            }
            TokenKind::Wildcard => {
                self.push_node(Node::Wildcard);
                // `[*]` is applied by its closing bracket.
                if std::mem::take(&mut self.after_dereference) {
                    self.apply_index();
                }
            }
            TokenKind::Operator(operator) => self.push_operator(operator),
            TokenKind::Function => self.push_function(token)?,
            TokenKind::StartGroup => self.pending.push(Pending::Group),
            TokenKind::StartIndex => self.pending.push(Pending::Index),
            // Its function waits already.
            TokenKind::StartParameters => {}
            TokenKind::Dereference => self.after_dereference = true,
            TokenKind::Separator => self.apply_operators(|_| true),
            TokenKind::EndGroup => self.close(),
            TokenKind::EndIndex => {
                self.close();
                self.apply_index();
            }
            TokenKind::EndParameters => self.close_call()?,
        }
        Ok(())
    }

    fn push_node(&mut self, node: Node) {
        let id = self.tree.add(node);
        self.operands.push(id);
    }

    fn push_context(&mut self, token: &Token<'_>) -> Result<(), ParseError> {
        let name = token.raw.to_ascii_lowercase();
        if !Allowed::context_in(self.allowed, &name) {
            return Err(ParseError::at("Unrecognized named-value", token.raw, token.offset, self.source));
        }
        self.push_node(Node::Context(name.into()));
        Ok(())
    }

    fn push_function(&mut self, token: Token<'a>) -> Result<(), ParseError> {
        let Some((function, arity)) = Allowed::function_in(self.allowed, token.raw) else {
            return Err(ParseError::at("Unrecognized function", token.raw, token.offset, self.source));
        };
        let operands_before = self.operands.len();
        self.pending.push(Pending::Call(Call { function, arity, name: token, operands_before }));
        Ok(())
    }

    fn push_operator(&mut self, operator: Operator) {
        // `!` stands before its operand: nothing to its left can be finished by it.
        if operator != Operator::Not {
            self.apply_operators(|waiting| precedence(operator) <= precedence(waiting));
        }
        self.pending.push(Pending::Operator(operator));
    }

    /// Applies waiting operators from the top as long as `binds` holds, down to what is open.
    fn apply_operators(&mut self, binds: impl Fn(Operator) -> bool) {
        while let Some(Pending::Operator(operator)) = self.pending.last()
            && binds(*operator)
        {
            let operator = *operator;
            self.pending.pop();
            self.apply(operator);
        }
    }

    fn apply(&mut self, operator: Operator) {
        let Some(right) = self.operands.pop() else { return };
        if operator == Operator::Not {
            return self.push_node(Node::Not(right));
        }
        let Some(left) = self.operands.pop() else { return };
        let id = match operator {
            Operator::And => self.tree.add_and(left, right),
            Operator::Or => self.tree.add_or(left, right),
            _ => self.tree.add(Node::Compare { operator, left, right }),
        };
        self.operands.push(id);
    }

    fn apply_index(&mut self) {
        if let Some(index) = self.operands.pop()
            && let Some(object) = self.operands.pop()
        {
            self.push_node(Node::Index { object, index });
        }
    }

    /// Ends a group or an index.
    fn close(&mut self) {
        self.apply_operators(|_| true);
        self.pending.pop();
    }

    fn close_call(&mut self) -> Result<(), ParseError> {
        self.apply_operators(|_| true);
        let Some(Pending::Call(call)) = self.pending.pop() else { return Ok(()) };
        let arguments = self.operands.split_off(call.operands_before.min(self.operands.len()));
        let problem = if arguments.len() < call.arity.min {
            "Too few parameters supplied"
        } else if arguments.len() > call.arity.max {
            "Too many parameters supplied"
        } else if call.function == Function::Case && arguments.len().is_multiple_of(2) {
            "Even number of parameters supplied, requires an odd number of parameters"
        } else {
            self.push_node(Node::Call { function: call.function, arguments });
            return Ok(());
        };
        Err(ParseError::at(problem, call.name.raw, call.name.offset, self.source))
    }
}

/// The higher, the tighter.
fn precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Not => 5,
        Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => 4,
        Operator::Equal | Operator::NotEqual => 3,
        Operator::And => 2,
        Operator::Or => 1,
    }
}
