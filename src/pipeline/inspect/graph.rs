//! The graph of objects and needs, for tools that draw graphs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Inspection;
use crate::analyze::needs::Process;
use crate::analyze::{Confidence, Outcome, Requirement};
use crate::diag::{escape, printable};

/// Nodes and the ties between them, in a stable order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// The nodes; the program is the first.
    pub nodes: Vec<GraphNode>,
    /// The ties.
    pub edges: Vec<GraphEdge>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphNode {
    /// What is shown; any text.
    pub label: String,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A program or library.
    Object,
    /// Any other need that is met, or that the container runtime meets.
    Need,
    /// A need that is not met.
    Unmet,
}

/// A tie from the one who needs to what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphEdge {
    /// Index of the node that needs.
    pub from: usize,
    /// Index of the node that is needed.
    pub to: usize,
    /// What is shown at it; any text, may be empty.
    pub label: String,
    /// How strong it is.
    pub tie: Tie,
}

/// How strong a tie is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Known.
    Known,
    /// A string hints at it.
    Hinted,
}

impl Graph {
    /// The graph of one program. Needs that only a string hints at and that are not included are left out unless `all` is
    /// set.
    #[must_use]
    pub fn of(inspection: &Inspection, all: bool) -> Self {
        let mut drawing = Drawing::default();
        for process in inspection.needs.iter().flat_map(|needs| &needs.processes) {
            drawing.process(process);
        }
        if drawing.graph.nodes.is_empty() {
            drawing.node(&printable(&inspection.analysis.name), NodeKind::Object);
        }
        for requirement in &inspection.requirements() {
            let hinted = requirement.reason.confidence == Confidence::Hinted;
            if all || !hinted || requirement.outcome == Outcome::Included {
                drawing.requirement(requirement);
            }
        }
        drawing.graph
    }

    /// In the language of graphviz.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut out = String::from("digraph needs {\n  rankdir=LR;\n  node [shape=box];\n");
        for (at, node) in self.nodes.iter().enumerate() {
            let style = match node.kind {
                NodeKind::Object => "",
                NodeKind::Need => ", style=rounded",
                NodeKind::Unmet => ", style=dashed",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  n{at} [label={}{style}];", dot(&node.label));
        }
        for edge in &self.edges {
            let style = match edge.tie {
                Tie::Known => "",
                Tie::Hinted => ", style=dotted",
            };
            let _ = writeln!(out, "  n{} -> n{} [label={}{style}];", edge.from, edge.to, dot(&edge.label));
        }
        out.push_str("}\n");
        out
    }

    /// As a flowchart of mermaid.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (at, node) in self.nodes.iter().enumerate() {
            let label = mermaid(&node.label);
            let _ = match node.kind {
                NodeKind::Object => writeln!(out, "  n{at}[\"{label}\"]"),
                NodeKind::Need => writeln!(out, "  n{at}(\"{label}\")"),
                NodeKind::Unmet => writeln!(out, "  n{at}{{{{\"{label}\"}}}}"),
            };
        }
        for edge in &self.edges {
            let arrow = match edge.tie {
                Tie::Known => "-->",
                Tie::Hinted => "-.->",
            };
            let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", mermaid(&edge.label)) };
            let _ = writeln!(out, "  n{} {arrow}{label} n{}", edge.from, edge.to);
        }
        out
    }
}

/// A quoted string of the DOT language. Its labels have escape sequences of their own, so that each backslash is doubled.
fn dot(text: &str) -> String {
    format!("\"{}\"", printable(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Text between the quotes of a mermaid label: everything that could mean something there is an entity code.
fn mermaid(text: &str) -> String {
    let mut out = String::new();
    for c in printable(text).chars() {
        if c.is_alphanumeric() || " ./_-+:,()".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}

#[derive(Default)]
struct Drawing {
    graph: Graph,
    known: BTreeMap<String, usize>,
}

impl Drawing {
    fn node(&mut self, label: &str, kind: NodeKind) -> usize {
        if let Some(at) = self.known.get(label) {
            return *at;
        }
        let at = self.graph.nodes.len();
        self.graph.nodes.push(GraphNode { label: label.to_owned(), kind });
        self.known.insert(label.to_owned(), at);
        at
    }

    fn edge(&mut self, from: usize, to: usize, label: &str, tie: Tie) {
        let same = |edge: &GraphEdge| edge.from == from && edge.to == to;
        if from != to && !self.graph.edges.iter().any(same) {
            self.graph.edges.push(GraphEdge { from, to, label: label.to_owned(), tie });
        }
    }

    fn process(&mut self, process: &Process) {
        let program = self.node(&escape(&process.image), NodeKind::Object);
        let Some(closure) = &process.closure else { return };
        let nodes: Vec<usize> = (0..closure.loaded.len())
            .map(|at| match at {
                0 => program,
                at => {
                    let path = process.places.get(at).unwrap_or(&closure.loaded[at].path);
                    self.node(&escape(path), NodeKind::Object)
                }
            })
            .collect();
        for (by, _, to) in &closure.edges {
            // What a rule knows to be loaded later is said at the edge.
            let label = if *by < process.startup && *to >= process.startup { "dlopen" } else { "" };
            self.edge(nodes[*by], nodes[*to], label, Tie::Known);
        }
        for missing in &closure.missing {
            let to = self.node(&escape(&missing.name), NodeKind::Unmet);
            self.edge(nodes[missing.by], to, "missing", Tie::Known);
        }
    }

    fn requirement(&mut self, requirement: &Requirement) {
        let from = &requirement.reason.needed_by;
        let from = if from.starts_with('/') { self.node(from, NodeKind::Object) } else { 0 };
        // An object is one node, whether the loader or a rule brings it in.
        let object = requirement.files.iter().find_map(|file| self.known.get(file).copied());
        let (kind, state) = match &requirement.outcome {
            Outcome::Included => (NodeKind::Need, String::new()),
            Outcome::AtRunTime => (NodeKind::Need, "at run time".to_owned()),
            Outcome::Offered(flag) => (NodeKind::Unmet, flag.clone()),
            Outcome::Missing => (NodeKind::Unmet, "missing".to_owned()),
            Outcome::LeftOut => (NodeKind::Unmet, "left out".to_owned()),
        };
        let to = object.unwrap_or_else(|| self.node(requirement.subject.text(), kind));
        let tie = if requirement.reason.confidence == Confidence::Hinted { Tie::Hinted } else { Tie::Known };
        let parts = [requirement.about.as_str(), state.as_str()];
        let label = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("; ");
        self.edge(from, to, &label, tie);
    }
}
