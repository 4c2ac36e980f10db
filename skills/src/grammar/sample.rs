//! Generates random sentences of a grammar.

use super::node::{Grammar, Node};
use sojourn_primitives::SplitMix64;
use std::collections::BTreeMap;

impl Grammar {
    /// A random sentence, deterministic for a seed. Beyond `depth` nested rules it takes the shortest
    /// alternatives.
    pub fn sample(&self, seed: u64, depth: u32) -> String {
        let mut sampler =
            Sampler { grammar: self, heights: heights(self), random: SplitMix64::new(seed), depth };
        let mut sentence = String::new();
        if let Some(start) = self.definitions.first() {
            sampler.define(start.name, 0, &mut sentence);
        }
        sentence
    }
}

struct Sampler<'a> {
    grammar: &'a Grammar,
    /// Minimum nesting depth of each rule's sentences.
    heights: BTreeMap<&'static str, u32>,
    random: SplitMix64,
    depth: u32,
}

impl Sampler<'_> {
    fn define(&mut self, name: &'static str, depth: u32, sentence: &mut String) {
        let Some(definition) = self.grammar.find(name) else { return };
        loop {
            let start = sentence.len();
            self.node(&definition.node, depth + 1, sentence);
            if !definition.except.iter().any(|word| word == &sentence[start..]) {
                return;
            }
            sentence.truncate(start);
        }
    }

    fn node(&mut self, node: &Node, depth: u32, sentence: &mut String) {
        let deep = depth > self.depth;
        match node {
            Node::Text(text) => sentence.push_str(text),
            Node::Name(name) => self.define(name, depth, sentence),
            Node::Seq(nodes) => nodes.iter().for_each(|node| self.node(node, depth, sentence)),
            Node::Class(ranges) => {
                let (from, to) = ranges[self.random.below(ranges.len() as u64) as usize];
                let offset = self.random.below(u64::from(to as u32 - from as u32 + 1)) as u32;
                sentence.extend(char::from_u32(from as u32 + offset));
            }
            Node::Choice(nodes) => {
                let lowest = nodes.iter().map(|node| height(node, &self.heights)).min().unwrap_or(0);
                let open: Vec<&Node> =
                    nodes.iter().filter(|node| !deep || height(node, &self.heights) == lowest).collect();
                let chosen = open[self.random.below(open.len() as u64) as usize];
                self.node(chosen, depth, sentence);
            }
            Node::Repeat { node, min, max } => {
                let mut times = *min;
                // Long repetitions are rare, as in real programs.
                while !deep && times < *max && self.random.below(3) == 0 {
                    times += 1;
                }
                for _ in 0..times {
                    self.node(node, depth, sentence);
                }
            }
        }
    }
}

/// Least fixed point of: one more than the deepest part of the shallowest alternative.
fn heights(grammar: &Grammar) -> BTreeMap<&'static str, u32> {
    let mut heights = BTreeMap::new();
    loop {
        let mut changed = false;
        for definition in &grammar.definitions {
            let new = height(&definition.node, &heights).saturating_add(1);
            if heights.get(definition.name) != Some(&new) {
                heights.insert(definition.name, new);
                changed = true;
            }
        }
        if !changed {
            return heights;
        }
    }
}

fn height(node: &Node, heights: &BTreeMap<&'static str, u32>) -> u32 {
    match node {
        Node::Name(name) => heights.get(name).copied().unwrap_or(u32::MAX),
        Node::Seq(nodes) => nodes.iter().map(|node| height(node, heights)).max().unwrap_or(0),
        Node::Choice(nodes) => nodes.iter().map(|node| height(node, heights)).min().unwrap_or(u32::MAX),
        Node::Repeat { node, min, .. } if *min > 0 => height(node, heights),
        Node::Text(_) | Node::Class(_) | Node::Repeat { .. } => 0,
    }
}
