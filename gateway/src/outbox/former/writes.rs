//! Writes: what one commit will change, and a view of the tree as it will be then.
//!
//! Jobs of one group must see each other's writes before any of them is in the tree. Each
//! job's writes can be taken back, so that one damaged record fails one job and not the
//! group. Of keys it knows only that the index's entries are not the tree's.

use std::collections::BTreeMap;

use ::sled::{Batch, IVec, Tree};

use super::fault::Fault;
use super::index::{Change, Entry};
use super::key;

/// Keys and their new values; `None` removes.
pub(super) struct Writes<'a> {
    tree: &'a Tree,
    pending: BTreeMap<Vec<u8>, Option<IVec>>,
    /// What `pending` had before the job under way touched it, in order.
    undo: Vec<(Vec<u8>, Before)>,
}

/// What was pending for a key.
enum Before {
    /// Nothing: the tree's own value counted.
    Tree,
    /// This write.
    Pending(Option<IVec>),
}

impl<'a> Writes<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            pending: BTreeMap::new(),
            undo: Vec::new(),
        }
    }

    /// The tree as it is before.
    pub(super) fn tree(&self) -> &'a Tree {
        self.tree
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Fault> {
        match self.pending.get(key) {
            Some(pending) => Ok(pending.clone()),
            None => self.tree.get(key).map_err(Fault::from),
        }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: impl Into<IVec>) {
        self.set(key, Some(value.into()));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.set(key, None);
    }

    fn set(&mut self, key: Vec<u8>, value: Option<IVec>) {
        let before = self.pending.insert(key.clone(), value);
        self.undo
            .push((key, before.map_or(Before::Tree, Before::Pending)));
    }

    /// Everything under `prefix`, in order. For prefixes that name one lead.
    pub(super) fn scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, IVec)>, Fault> {
        let mut found = BTreeMap::new();
        for entry in self.tree.scan_prefix(prefix) {
            let (key, value) = entry?;
            found.insert(key.to_vec(), value);
        }
        let pending = self.pending.range(prefix.to_vec()..);
        for (key, value) in pending.take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok(found.into_iter().collect())
    }

    /// The job under way is done: its writes stay.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// The job under way failed: its writes go.
    pub(super) fn take_back(&mut self) {
        for (key, before) in self.undo.drain(..).rev() {
            match before {
                Before::Pending(before) => self.pending.insert(key, before),
                Before::Tree => self.pending.remove(&key),
            };
        }
    }

    /// What these writes say about entries of the index under `prefix`.
    pub(super) fn entries<'b>(&'b self, prefix: &'b [u8]) -> impl Iterator<Item = Change> + 'b {
        let pending = self.pending.range(prefix.to_vec()..);
        pending
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter_map(|(key, value)| Some((Entry::from_slice(&key[1..])?, value.is_some())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes the changes of the index out of the writes, in order.
    pub(super) fn take_entries(&mut self) -> Vec<Change> {
        let changes: Vec<Change> = self.entries(&[key::ENTRY]).collect();
        let mut others = self.pending.split_off([key::ENTRY].as_slice());
        let behind = others.split_off([key::ENTRY + 1].as_slice());
        self.pending.extend(behind);
        changes
    }

    /// No more is written.
    pub(super) fn end(self) -> Written {
        Written(self.pending)
    }
}

/// What a commit changes in the tree.
pub(super) struct Written(BTreeMap<Vec<u8>, Option<IVec>>);

impl Written {
    /// The batch that makes it so.
    pub(super) fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in &self.0 {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.clone()),
                None => batch.remove(key.as_slice()),
            }
        }
        batch
    }

    /// Keys and their new values.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let pairs = self.0.iter();
        pairs.map(|(key, value)| (key.as_slice(), value.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_sees_what_the_group_writes_and_can_be_taken_back() {
        let db = ::sled::Config::new().temporary(true).open().expect("opens");
        db.insert(b"a1", b"tree").expect("writes");
        db.insert(b"a2", b"tree").expect("writes");
        let mut writes = Writes::new(&db);
        writes.put(b"a3".to_vec(), b"group");
        writes.remove(b"a1".to_vec());
        writes.keep();
        writes.put(b"a3".to_vec(), b"job");
        writes.remove(b"a2".to_vec());
        let keys = |writes: &Writes<'_>| -> Vec<Vec<u8>> {
            let found = writes.scan(b"a").expect("reads");
            found.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(&writes), [b"a3".to_vec()]);
        writes.take_back();
        assert_eq!(keys(&writes), [b"a2".to_vec(), b"a3".to_vec()]);
        assert_eq!(
            writes.get(b"a3").expect("reads").as_deref(),
            Some(b"group".as_slice())
        );
        db.apply_batch(writes.end().batch()).expect("applies");
        assert_eq!(db.get(b"a1").expect("reads"), None);
        assert_eq!(db.len(), 2);
    }
}
