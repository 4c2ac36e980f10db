/// A grammar as a list of definitions. The first, `start`, is the start rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grammar {
    pub(super) definitions: Vec<Definition>,
}

/// A named rule. Upper-case names are terminals, which are matched as one lexeme and cannot refer to rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) node: Node,
    /// Texts that the terminal must not match.
    pub(super) except: Vec<String>,
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Exactly this text.
    Text(String),
    /// One character in these inclusive ranges; for terminals only.
    Class(&'static [(char, char)]),
    /// The rule with this name.
    Name(&'static str),
    /// A sequence.
    Seq(Vec<Node>),
    /// Alternatives; never empty.
    Choice(Vec<Node>),
    /// Between `min` and `max` repetitions, both inclusive.
    Repeat { node: Box<Node>, min: u32, max: u32 },
}

impl Grammar {
    pub(super) fn define(&mut self, name: &'static str, node: Node) {
        self.definitions.push(Definition { name, node, except: Vec::new() });
    }

    pub(super) fn define_except(&mut self, name: &'static str, node: Node, except: Vec<String>) {
        self.definitions.push(Definition { name, node, except });
    }

    pub(super) fn find(&self, name: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.name == name)
    }
}

pub(super) fn text(text: impl Into<String>) -> Node {
    Node::Text(text.into())
}

pub(super) fn seq<const N: usize>(nodes: [Node; N]) -> Node {
    Node::Seq(nodes.into())
}

pub(super) fn choice(nodes: impl IntoIterator<Item = Node>) -> Node {
    Node::Choice(nodes.into_iter().collect())
}

pub(super) fn repeat(node: Node, min: u32, max: u32) -> Node {
    Node::Repeat { node: Box::new(node), min, max }
}

pub(super) fn optional(node: Node) -> Node {
    repeat(node, 0, 1)
}

pub(super) fn name(name: &'static str) -> Node {
    Node::Name(name)
}
