//! Which schemas of a document lead to which, and which edges are best compiled together.
//!
//! A validator takes in everything that its schema reaches. Where edges reach the same schemas,
//! those would be compiled once an edge: 1,000 edges of 10,000 schemas that all lead to one
//! another are ten million. So edges meet in a *hub*: the circle of schemas (those that lead to
//! each other, or a single one) that would be compiled again most often if they stayed apart.
//! Edges with the same hub share a validator, so that together they cost what is theirs and the
//! hub once. A hub that reaches only a few schemas is not worth it: whoever shares is compiled
//! when the first of them is needed.
//!
//! What is counted are references; what a `discriminator` selects from counts where the selected
//! schema names the one that selects.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::limits;

/// The schemas that edges reach, by number, with their references.
#[derive(Debug, Default)]
pub(super) struct Links {
    numbers: HashMap<String, usize>,
    onward: Vec<Vec<usize>>,
    /// Places whose references are known to lead somewhere.
    sound: Vec<bool>,
    /// Places that were walked from, to the end.
    walked: HashSet<usize>,
}

/// The circles of a graph: each place is in exactly one.
struct Circles {
    /// By place. A circle comes before those that it leads to.
    of: Vec<usize>,
    places: Vec<Vec<usize>>,
}

// === impl Links ===

impl Links {
    /// The number of a place.
    pub(super) fn place(&mut self, pointer: &str) -> usize {
        if let Some(number) = self.numbers.get(pointer) {
            return *number;
        }
        let number = self.onward.len();
        self.numbers.insert(pointer.to_owned(), number);
        self.onward.push(Vec::new());
        self.sound.push(false);
        number
    }

    /// Notes that one place leads to another.
    pub(super) fn leads(&mut self, from: usize, to: usize) {
        self.onward[from].push(to);
    }

    /// Whether everything that a place reaches was followed from there.
    pub(super) fn is_walked(&self, place: usize) -> bool {
        self.walked.contains(&place)
    }

    /// Notes that it was.
    pub(super) fn walked(&mut self, place: usize) {
        self.walked.insert(place);
    }

    /// Counts a place as sound; false if it was before.
    pub(super) fn sound(&mut self, place: usize) -> bool {
        !std::mem::replace(&mut self.sound[place], true)
    }

    /// The hub of each edge, by number; none for one that is compiled alone.
    pub(super) fn hubs(&self, edges: &[usize]) -> Vec<Option<usize>> {
        let circles = Circles::of(&self.onward);
        let neighbourhood = self.neighbourhoods();
        let mut neighbours: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (index, edge) in edges.iter().enumerate() {
            neighbours.entry(neighbourhood[*edge]).or_default().0.push(index);
        }
        for (circle, places) in circles.places.iter().enumerate() {
            let Some(place) = places.first() else { continue };
            neighbours.entry(neighbourhood[*place]).or_default().1.push(circle);
        }
        let mut hubs = vec![None; edges.len()];
        for (members, local) in neighbours.into_values().filter(|it| it.0.len() > 1) {
            if local.len() > limits::CIRCLES_WEIGHED {
                for index in members {
                    hubs[index] = local.first().copied();
                }
                continue;
            }
            let starts: Vec<usize> = members.iter().map(|it| circles.of[edges[*it]]).collect();
            let found = self.weigh(&circles, &local, &starts);
            members.into_iter().zip(found).for_each(|(index, hub)| hubs[index] = hub);
        }
        hubs
    }

    /// By place, one place of all that are linked to it in either direction.
    fn neighbourhoods(&self) -> Vec<usize> {
        let mut parent: Vec<usize> = (0..self.onward.len()).collect();
        for (from, targets) in self.onward.iter().enumerate() {
            for to in targets {
                let (one, other) = (root(&mut parent, from), root(&mut parent, *to));
                parent[one] = other;
            }
        }
        (0..parent.len()).map(|place| root(&mut parent, place)).collect()
    }

    /// The hub of each start, among circles that are linked to one another.
    fn weigh(&self, circles: &Circles, local: &[usize], starts: &[usize]) -> Vec<Option<usize>> {
        let index_of: HashMap<usize, usize> =
            local.iter().enumerate().map(|(index, circle)| (*circle, index)).collect();
        let words = local.len().div_ceil(64);
        let mut reached = vec![vec![0_u64; words]; local.len()];
        for (index, circle) in local.iter().enumerate().rev() {
            let mut row = std::mem::take(&mut reached[index]);
            row[index / 64] |= 1 << (index % 64);
            for to in circles.places[*circle].iter().flat_map(|place| &self.onward[*place]) {
                let to = index_of[&circles.of[*to]];
                row.iter_mut().zip(&reached[to]).for_each(|(word, other)| *word |= other);
            }
            reached[index] = row;
        }
        let size = |index: usize| circles.places[local[index]].len();
        let weight: Vec<usize> = reached.iter().map(|row| bits(row).map(size).sum()).collect();
        let mut visits = vec![0_usize; local.len()];
        for start in starts {
            bits(&reached[index_of[start]]).for_each(|index| visits[index] += 1);
        }
        let hub = |start: &usize| {
            let worth = |index: &usize| weight[*index] * (visits[*index] - 1);
            bits(&reached[index_of[start]])
                .filter(|index| weight[*index] >= limits::SCHEMAS_SHARED && visits[*index] > 1)
                .max_by_key(worth)
                .map(|index| local[index])
        };
        starts.iter().map(hub).collect()
    }
}

// === impl Circles ===

impl Circles {
    /// Kosaraju's two walks, without recursion: a document may be a chain of any length.
    fn of(onward: &[Vec<usize>]) -> Self {
        let mut back = vec![Vec::new(); onward.len()];
        for (from, targets) in onward.iter().enumerate() {
            for to in targets {
                back[*to].push(from);
            }
        }
        let mut finished = Vec::with_capacity(onward.len());
        let mut seen = vec![false; onward.len()];
        for start in 0..onward.len() {
            walk(start, onward, &mut seen, &mut |place| finished.push(place));
        }
        let mut circles = Self { of: vec![0; onward.len()], places: Vec::new() };
        let mut seen = vec![false; onward.len()];
        for start in finished.into_iter().rev() {
            let mut places = Vec::new();
            walk(start, &back, &mut seen, &mut |place| places.push(place));
            if !places.is_empty() {
                for place in &places {
                    circles.of[*place] = circles.places.len();
                }
                circles.places.push(places);
            }
        }
        circles
    }
}

/// Tells the places that are reached and were not seen, each after those that it leads to.
fn walk(start: usize, onward: &[Vec<usize>], seen: &mut [bool], finished: &mut impl FnMut(usize)) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, 0)];
    while let Some((place, next)) = path.last_mut() {
        if let Some(to) = onward[*place].get(*next) {
            *next += 1;
            if !std::mem::replace(&mut seen[*to], true) {
                path.push((*to, 0));
            }
        } else {
            finished(*place);
            path.pop();
        }
    }
}

fn root(parent: &mut [usize], place: usize) -> usize {
    let mut place = place;
    while parent[place] != place {
        parent[place] = parent[parent[place]];
        place = parent[place];
    }
    place
}

fn bits(row: &[u64]) -> impl Iterator<Item = usize> + '_ {
    row.iter().enumerate().flat_map(|(index, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(index * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests;
