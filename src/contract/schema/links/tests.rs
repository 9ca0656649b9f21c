//! Which edges meet, by small graphs.

#![allow(clippy::unwrap_used)]

use super::Links;
use crate::limits::SCHEMAS_SHARED;

/// A graph of places that are named by numbers.
fn links(arcs: impl IntoIterator<Item = (usize, usize)>) -> Links {
    let mut links = Links::default();
    for (from, to) in arcs {
        let (from, to) = (links.place(&from.to_string()), links.place(&to.to_string()));
        links.leads(from, to);
    }
    links
}

fn hubs(links: &mut Links, edges: &[usize]) -> Vec<Option<usize>> {
    let numbers: Vec<usize> = edges.iter().map(|it| links.place(&it.to_string())).collect();
    links.hubs(&numbers)
}

/// A round of so many places.
fn round(first: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).map(move |it| (first + it, first + (it + 1) % count))
}

#[test]
fn edges_of_one_circle_meet_and_strangers_do_not() {
    let mut all = links(round(0, 40).chain(round(100, 40)).chain([(200, 3), (201, 103)]));
    let found = hubs(&mut all, &[0, 17, 200, 100, 139, 201]);
    assert!(found[0].is_some() && found[..3].iter().all(|it| *it == found[0]), "{found:?}");
    assert!(found[3].is_some() && found[3..].iter().all(|it| *it == found[3]), "{found:?}");
    assert_ne!(found[0], found[3]);
}

#[test]
fn what_is_small_or_reached_by_one_edge_is_compiled_alone() {
    let mut small = links(round(0, SCHEMAS_SHARED - 1).chain([(100, 0), (101, 0)]));
    assert_eq!(hubs(&mut small, &[100, 101]), [None, None]);
    let mut single = links(round(0, 10 * SCHEMAS_SHARED));
    assert_eq!(hubs(&mut single, &[5]), [None]);
}

#[test]
fn a_tree_that_many_edges_reach_is_a_hub_without_a_circle() {
    let tree = (0..50).map(|it| (it, it + 1));
    let mut all = links(tree.chain((100..120).map(|it| (it, 0))));
    let edges: Vec<usize> = (100..120).collect();
    let found = hubs(&mut all, &edges);
    assert!(found[0].is_some() && found.iter().all(|it| *it == found[0]), "{found:?}");
}

/// The sum of what is compiled stays near what there is, for a chain with an edge at every schema.
#[test]
fn a_chain_of_any_length_ends() {
    let count = 5_000;
    let mut chain = links((0..count).map(|it| (it, it + 1)));
    let edges: Vec<usize> = (0..count).collect();
    assert_eq!(hubs(&mut chain, &edges).len(), count);
}
