//! Names, values and dimension sets kept once each, so that millions of rows fit into memory.

use std::collections::HashMap;
use std::sync::Arc;

/// Strings by number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    ids: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The number of `text`, a new one if it has none.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.ids.insert(text, id);
        id
    }

    /// The number of `text`, if it has one.
    pub(crate) fn get(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// The text of a number that `intern` gave.
    pub(crate) fn text(&self, id: u32) -> &str {
        self.texts.get(id as usize).map_or("", |text| text)
    }
}

/// One dimension set: (name, value) by number, in the order of the names' texts.
pub(crate) type DimensionSet = Arc<[(u32, u32)]>;

/// Dimension sets by number.
#[derive(Debug, Default)]
pub(crate) struct DimensionSets {
    ids: HashMap<DimensionSet, u32>,
    sets: Vec<DimensionSet>,
}

impl DimensionSets {
    /// The number of `set`, a new one if it has none.
    pub(crate) fn intern(&mut self, set: Vec<(u32, u32)>) -> u32 {
        if let Some(id) = self.ids.get(set.as_slice()) {
            return *id;
        }
        let id = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        let set: DimensionSet = set.into();
        self.sets.push(Arc::clone(&set));
        self.ids.insert(set, id);
        id
    }

    /// The set of a number that `intern` gave.
    pub(crate) fn pairs(&self, id: u32) -> &[(u32, u32)] {
        self.sets.get(id as usize).map_or(&[], |set| set)
    }

    /// How many sets there are.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }
}
