//! A table whose rows have ids and keep the order in which they were added.

use std::collections::BTreeMap;

/// A table of rows of one kind.
pub struct Table<T> {
    /// The prefix of the table's ids, which the number of the row follows.
    prefix: &'static str,
    rows: BTreeMap<u64, T>,
    last: u64,
}

impl<T> Table<T> {
    pub fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            rows: BTreeMap::new(),
            last: 0,
        }
    }

    /// Adds a row and returns its id, which has the form of a UUID and is the same in every run.
    pub fn add(&mut self, row: T) -> String {
        self.last += 1;
        self.rows.insert(self.last, row);
        self.id(self.last)
    }

    pub fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(&self.number(id)?)
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        let number = self.number(id)?;
        self.rows.get_mut(&number)
    }

    pub fn remove(&mut self, id: &str) -> Option<T> {
        let number = self.number(id)?;
        self.rows.remove(&number)
    }

    /// Returns the rows with their ids, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (String, &T)> {
        self.rows
            .iter()
            .map(|(number, row)| (self.id(*number), row))
    }

    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut()
    }

    fn id(&self, number: u64) -> String {
        format!("{}{number:012x}", self.prefix)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let number = u64::from_str_radix(id.strip_prefix(self.prefix)?, 16).ok()?;
        // Another spelling of the same number is not the id.
        (self.id(number) == id).then_some(number)
    }
}
