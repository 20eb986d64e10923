//! The shape of the graph: nothing waits for itself.

use std::collections::BTreeMap;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::diagnostic::Diagnostic;
use crate::layout::LaidTask;

/// One diagnostic for each knot of tasks that wait for one another, with one way around it.
pub fn cycles(tasks: &[LaidTask<'_>]) -> Vec<Diagnostic> {
    let mut graph = DiGraph::<&str, ()>::new();
    let nodes: BTreeMap<&str, NodeIndex> =
        tasks.iter().map(|task| (task.name.as_str(), graph.add_node(task.name.as_str()))).collect();
    for task in tasks {
        for above in &task.above {
            graph.add_edge(nodes[above.as_str()], nodes[task.name.as_str()], ());
        }
    }
    let knots = tarjan_scc(&graph)
        .into_iter()
        .filter(|knot| knot.len() > 1 || knot.iter().any(|node| graph.contains_edge(*node, *node)));
    let mut found: Vec<Diagnostic> = knots.map(|knot| describe(tasks, &graph, &knot)).collect();
    found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    found
}

fn describe(tasks: &[LaidTask<'_>], graph: &DiGraph<&str, ()>, knot: &[NodeIndex]) -> Diagnostic {
    let first = knot.iter().copied().min_by_key(|node| graph[*node]).expect("a knot has tasks");
    let around: Vec<&str> =
        way_around(graph, knot, first).iter().map(|node| graph[*node]).collect();
    let message = format!("the tasks wait for one another in a cycle: {}", around.join(" → "));
    let place = tasks.binary_search_by(|task| task.name.as_str().cmp(graph[first]));
    match place {
        Ok(place) => Diagnostic::at(tasks[place].task.referenced, message),
        Err(_) => Diagnostic::of_file(message),
    }
}
/// The shortest way from a task of the knot back to itself.
fn way_around(graph: &DiGraph<&str, ()>, knot: &[NodeIndex], first: NodeIndex) -> Vec<NodeIndex> {
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([first]);
    while let Some(here) = open.pop_front() {
        let mut next: Vec<NodeIndex> =
            graph.neighbors(here).filter(|node| knot.contains(node)).collect();
        next.sort_by_key(|node| graph[*node]);
        for node in next {
            if node == first {
                let mut way = vec![first, here];
                let mut at = here;
                while at != first {
                    at = came_from[&at];
                    way.push(at);
                }
                if here == first {
                    way.truncate(2);
                }
                way.reverse();
                return way;
            }
            if let std::collections::btree_map::Entry::Vacant(place) = came_from.entry(node) {
                place.insert(here);
                open.push_back(node);
            }
        }
    }
    unreachable!("a knot leads back to each of its tasks")
}
