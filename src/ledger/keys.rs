//! The ordering keys of one module that have rows in the store.
//!
//! A new event whose key has an earlier row must wait behind it, in the store.
//! Counting what this node writes says which keys those are, once a claim has
//! said what was there before; every later claim that comes back short sets the
//! counts right again, so what others did to the rows is not missed for long.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

/// Keys that are counted at once; with more, the module takes everything from the store.
const KEYS_MAX: usize = 10_000;

/// Keys that have rows in the store, as a short claim of an ordered module reports them.
///
/// Counted are rows that are pending, those claimed included, and, where they
/// hold their key, dead ones.
#[derive(Debug, Default)]
pub(crate) struct HeldKeys {
    pub(crate) counts: Vec<(String, u32)>,
    /// There are more keys than were counted: the module stays behind.
    pub(crate) too_many: bool,
}

/// What moved for one key while a claim was under way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// Rows that the claim may not have seen.
    rows: u32,
    /// Those of them that left memory: they may precede rows that the claim saw.
    left_memory: u32,
}

/// Keys in motion while a claim is under way.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<String, Moved>);

impl Suspects {
    /// Returns whether a delivery that a claim could not see may precede those of `key` that it saw.
    pub(super) fn may_precede(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|moved| moved.left_memory > 0)
    }

    fn note(&mut self, key: &str, more: Moved) {
        let moved = self.0.entry(key.to_owned()).or_default();
        moved.rows += more.rows;
        moved.left_memory += more.left_memory;
    }
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A new event whose share goes to the store in its own commit.
    Publish,
    /// A delivery that was in memory.
    Memory,
}

impl Origin {
    fn one(self) -> Moved {
        Moved { rows: 1, left_memory: u32::from(self == Self::Memory) }
    }
}

/// The keys of one module.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Rows of each key, as far as this node knows.
    held: HashMap<String, u32>,
    /// Every key with rows is in `held`.
    is_complete: bool,
    /// What is known was thrown away since the last claim began: that claim may know no better.
    is_outdated: bool,
    /// No count in `held` is a guess.
    is_exact: bool,
    /// Rows of each key that are on their way into the store.
    unwritten: HashMap<String, Moved>,
    /// Claimed rows whose outcome is on its way into the store.
    changing: HashMap<Uuid, String>,
    /// What moved since the claim under way began.
    moved: Option<Suspects>,
}

impl Keys {
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.held.contains_key(key)
    }

    /// Forgets what is held, until a claim that begins from now on tells anew.
    pub(super) fn forget(&mut self) {
        self.held.clear();
        self.is_complete = false;
        self.is_outdated = true;
    }

    /// A row of `key` is on its way into the store, and is to hold its key or not.
    pub(super) fn row_leaves(&mut self, key: &str, holds: Holds, origin: Origin) {
        let unwritten = self.unwritten.entry(key.to_owned()).or_default();
        unwritten.rows += 1;
        unwritten.left_memory += origin.one().left_memory;
        self.note(key, origin.one());
        if holds == Holds::Key && self.is_complete {
            *self.held.entry(key.to_owned()).or_insert(0) += 1;
            if self.held.len() > KEYS_MAX {
                self.forget();
            }
        }
    }

    /// A row of `key` has arrived in the store, or never will.
    pub(super) fn row_arrived(&mut self, key: &str, origin: Origin) {
        let Some(unwritten) = self.unwritten.get_mut(key) else {
            // It left before the module was known here, so nobody counted it.
            return self.forget();
        };
        unwritten.rows = unwritten.rows.saturating_sub(1);
        unwritten.left_memory = unwritten.left_memory.saturating_sub(origin.one().left_memory);
        if unwritten.rows == 0 {
            self.unwritten.remove(key);
        }
    }

    /// The outcome of a claimed row is on its way into the store.
    pub(super) fn change_leaves(&mut self, event: Uuid, key: &str, holds: Holds) {
        self.note(key, Moved::default());
        self.changing.insert(event, key.to_owned());
        if holds == Holds::Nothing {
            self.release(key);
        }
    }

    /// The outcome of a claimed row has arrived; returns whether others of its key may wait behind it.
    pub(super) fn change_arrived(&mut self, event: Uuid) -> bool {
        self.changing.remove(&event).is_some_and(|key| self.holds(&key))
    }

    /// Returns whether outcomes of claimed rows are on their way into the store.
    pub(super) fn is_changing(&self) -> bool {
        !self.changing.is_empty()
    }

    /// A row of `key` is finished, or never came to be.
    pub(super) fn release(&mut self, key: &str) {
        self.note(key, Moved::default());
        decrement(&mut self.held, key);
    }

    /// A claim begins: what is on its way into the store it may see or not.
    pub(super) fn claim_begins(&mut self) {
        let mut moved = Suspects::default();
        for key in self.changing.values() {
            moved.note(key, Moved::default());
        }
        for (key, unwritten) in &self.unwritten {
            moved.note(key, *unwritten);
        }
        self.moved = Some(moved);
        self.is_outdated = false;
    }

    /// The claim is over; returns the keys that moved meanwhile.
    pub(super) fn claim_ends(&mut self) -> Suspects {
        self.moved.take().unwrap_or_default()
    }

    /// Takes a claim's word for all keys that did not move and are not `running`:
    /// a worker's own transaction may have finished a row of those already.
    ///
    /// Returns whether the counts are exact now. A count that is not is too high
    /// rather than too low.
    pub(super) fn recount(
        &mut self,
        told: HeldKeys,
        moved: &Suspects,
        running: &HashMap<String, u32>,
    ) -> bool {
        if told.too_many {
            self.forget();
        }
        if self.is_outdated {
            return false;
        }
        let mut fresh: HashMap<String, u32> = told.counts.into_iter().collect();
        let unsure: HashSet<&String> = moved.0.keys().chain(running.keys()).collect();
        for key in &unsure {
            let known = if self.is_complete {
                self.held.get(*key).copied().unwrap_or(0)
            } else {
                let missed = moved.0.get(*key).map(|moved| &moved.rows);
                [fresh.get(*key), missed, running.get(*key)].into_iter().flatten().sum()
            };
            if known == 0 {
                fresh.remove(*key);
            } else {
                fresh.insert((*key).clone(), known);
            }
        }
        self.is_exact = unsure.is_empty() || (self.is_complete && self.is_exact);
        self.held = fresh;
        self.is_complete = true;
        self.is_exact
    }

    fn note(&mut self, key: &str, more: Moved) {
        if let Some(moved) = &mut self.moved {
            moved.note(key, more);
        }
    }
}

/// Whether a row holds back later events of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Key,
    Nothing,
}

fn decrement(counts: &mut HashMap<String, u32>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{HeldKeys, Holds, Keys, Origin};

    fn told(counts: &[(&str, u32)]) -> HeldKeys {
        HeldKeys {
            counts: counts.iter().map(|(key, rows)| ((*key).to_owned(), *rows)).collect(),
            too_many: false,
        }
    }

    fn claim(keys: &mut Keys, counts: &[(&str, u32)]) -> bool {
        let moved = keys.claim_ends();
        keys.recount(told(counts), &moved, &HashMap::new())
    }

    #[test]
    fn a_key_is_held_until_its_last_row_is_finished() {
        let mut keys = Keys::default();
        keys.claim_begins();
        assert!(claim(&mut keys, &[("a", 1)]));
        keys.row_leaves("a", Holds::Key, Origin::Publish);
        keys.release("a");
        assert!(keys.holds("a"));
        keys.release("a");
        assert!(!keys.holds("a"));
    }

    #[test]
    fn a_row_that_a_claim_may_have_missed_holds_its_key() {
        let mut keys = Keys::default();
        keys.claim_begins();
        keys.row_leaves("a", Holds::Key, Origin::Publish);
        assert!(!claim(&mut keys, &[]), "the count is a guess");
        assert!(keys.holds("a"));
    }

    #[test]
    fn a_later_claim_sets_a_count_right() {
        let mut keys = Keys::default();
        keys.claim_begins();
        claim(&mut keys, &[("a", 3)]);
        keys.claim_begins();
        assert!(claim(&mut keys, &[("b", 1)]));
        assert!(!keys.holds("a") && keys.holds("b"));
    }

    #[test]
    fn a_claim_that_began_before_others_wrote_rows_tells_nothing() {
        let mut keys = Keys::default();
        keys.claim_begins();
        keys.forget();
        claim(&mut keys, &[]);
        assert!(!keys.is_complete());
        keys.claim_begins();
        assert!(claim(&mut keys, &[("a", 1)]) && keys.is_complete());
    }

    #[test]
    fn too_many_keys_are_not_counted() {
        let mut keys = Keys::default();
        keys.claim_begins();
        claim(&mut keys, &[]);
        for number in 0..=super::KEYS_MAX {
            keys.row_leaves(&number.to_string(), Holds::Key, Origin::Publish);
        }
        assert!(!keys.is_complete() && keys.held.is_empty());
    }
}
