//! A breadth-first search, so that the first violation found has the shortest trace.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;

use super::*;

/// The result of a search.
pub struct Found {
    /// The number of different situations.
    pub situations: usize,
    /// The situation of the first violation, and the events that led to it.
    pub wrong: Option<(Situation, String)>,
}

/// The event by which a situation was reached, and from which one.
struct Node {
    parent: usize,
    event: Option<Event>,
}

/// Explores everything that can follow `start`, up to the first violation. `each` is called with every situation.
pub fn explore(start: Situation, mut each: impl FnMut(usize, &Situation)) -> Found {
    let mut known = HashSet::from([start.outline()]);
    let mut nodes = vec![Node {
        parent: 0,
        event: None,
    }];
    let mut left = VecDeque::from([(0, start)]);
    while let Some((parent, situation)) = left.pop_front() {
        each(parent, &situation);
        for event in situation.possible() {
            let next = situation.after(event);
            if let Some(what) = next.wrong {
                let mut trace = trace(&nodes, parent);
                let _ = write!(trace, "  {event}\n{what}");
                return Found {
                    situations: nodes.len(),
                    wrong: Some((next, trace)),
                };
            }
            if known.insert(next.outline()) {
                left.push_back((nodes.len(), next));
                let event = Some(event);
                nodes.push(Node { parent, event });
            }
        }
    }
    Found {
        situations: nodes.len(),
        wrong: None,
    }
}

/// Returns the events that led to a situation, one on each line.
fn trace(nodes: &[Node], mut index: usize) -> String {
    let mut lines = Vec::new();
    while let Some(event) = nodes[index].event {
        lines.push(format!("  {event}\n"));
        index = nodes[index].parent;
    }
    lines.reverse();
    lines.concat()
}
