//! Breadth first, so that what is found first is shortest.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;

use super::*;

/// What was found on the way.
pub struct Found {
    /// So many different worlds.
    pub worlds: usize,
    /// What went wrong first, and how it came to that.
    pub wrong: Option<(World, String)>,
}

/// How one world came from another.
struct Node {
    parent: usize,
    event: Option<Event>,
}

/// Walks through everything that may follow upon `start`, up to what goes wrong first. `each` sees
/// every world.
pub fn explore(start: World, mut each: impl FnMut(usize, &World)) -> Found {
    let mut known = HashSet::from([start.outline()]);
    let mut nodes = vec![Node {
        parent: 0,
        event: None,
    }];
    let mut left = VecDeque::from([(0, start)]);
    while let Some((parent, world)) = left.pop_front() {
        each(parent, &world);
        for event in world.possible() {
            let next = world.after(event);
            if let Some(what) = next.wrong {
                let mut trace = trace(&nodes, parent);
                let _ = write!(trace, "  {event}\n{what}");
                return Found {
                    worlds: nodes.len(),
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
        worlds: nodes.len(),
        wrong: None,
    }
}

/// What has led to a world, a line each.
fn trace(nodes: &[Node], mut index: usize) -> String {
    let mut lines = Vec::new();
    while let Some(event) = nodes[index].event {
        lines.push(format!("  {event}\n"));
        index = nodes[index].parent;
    }
    lines.reverse();
    lines.concat()
}
