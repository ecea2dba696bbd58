//! The syntax tree: nodes in one list that name each other by place, so a tree of any depth is
//! dropped without recursion.

use std::sync::Arc;

use super::Value;
use super::function::Function;
use super::lexer::Operator;

/// Place of a node in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// A node.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A literal, or the name of a property.
    Literal(Value),
    /// A context, by its lower-case name.
    Context(Arc<str>),
    /// `*`
    Wildcard,
    /// `object[index]`, `object.property`
    Index { object: NodeId, index: NodeId },
    /// `!operand`
    Not(NodeId),
    /// `left == right` and its kin.
    Compare { operator: Operator, left: NodeId, right: NodeId },
    /// All operands joined by `&&`.
    And(Vec<NodeId>),
    /// All operands joined by `||`.
    Or(Vec<NodeId>),
    /// A call.
    Call { function: Function, arguments: Vec<NodeId> },
}

/// All nodes of an expression; empty for an empty one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    depths: Vec<usize>,
    root: Option<NodeId>,
}

impl Tree {
    /// Adds a node whose children are in already.
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        let depth = |id: &NodeId| self.depths[id.0];
        let below = match &node {
            Node::Literal(_) | Node::Context(_) | Node::Wildcard => 0,
            Node::Index { object, index } => depth(object).max(depth(index)),
            Node::Not(operand) => depth(operand),
            Node::Compare { left, right, .. } => depth(left).max(depth(right)),
            Node::And(nodes) | Node::Or(nodes) | Node::Call { arguments: nodes, .. } => {
                nodes.iter().map(depth).max().unwrap_or(0)
            }
        };
        self.depths.push(below + 1);
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// Joins two operands by `&&`; chains become one node, as GitHub counts their depth.
    pub(super) fn add_and(&mut self, left: NodeId, right: NodeId) -> NodeId {
        let operands = self.join(left, right, |node| match node {
            Node::And(operands) => Some(operands),
            _ => None,
        });
        self.add(Node::And(operands))
    }

    /// Joins two operands by `||`; chains become one node.
    pub(super) fn add_or(&mut self, left: NodeId, right: NodeId) -> NodeId {
        let operands = self.join(left, right, |node| match node {
            Node::Or(operands) => Some(operands),
            _ => None,
        });
        self.add(Node::Or(operands))
    }

    /// The operands of both sides, where a side that is a chain itself has several.
    fn join(
        &mut self,
        left: NodeId,
        right: NodeId,
        chain: impl Fn(&mut Node) -> Option<&mut Vec<NodeId>>,
    ) -> Vec<NodeId> {
        let mut take = |id: NodeId| chain(&mut self.nodes[id.0]).map_or_else(|| vec![id], std::mem::take);
        let mut operands = take(left);
        operands.extend(take(right));
        operands
    }

    /// Makes `root` the top.
    pub(super) fn set_root(&mut self, root: NodeId) {
        self.root = Some(root);
    }

    /// The top; `None` for an empty expression.
    pub(super) fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// Levels of nodes below and with the top.
    pub(super) fn depth(&self) -> usize {
        self.root.map_or(0, |root| self.depths[root.0])
    }

    /// A node.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The pattern of the call of `format` at the top, where it is written out.
    pub(super) fn format_pattern(&self) -> Option<&str> {
        let Node::Call { function: Function::Format, arguments } = self.node(self.root?) else { return None };
        match self.node(*arguments.first()?) {
            Node::Literal(pattern) => pattern.as_str(),
            _ => None,
        }
    }

    /// Every function that is called, in the order of the closing parentheses.
    pub(super) fn functions(&self) -> impl Iterator<Item = Function> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Call { function, .. } => Some(*function),
            _ => None,
        })
    }
}
