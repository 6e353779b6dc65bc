// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where in a document a value stands, as the author would say it: `cases[0].steps[2].map.iova`.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// One step down from a mapping or a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Segment {
    /// The value of this key of a mapping. Shared, since a path is copied with every step further down.
    Key(Arc<str>),
    /// The element at this index (from 0) of a sequence.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Segment::Key(key.into())
    }
}

impl From<String> for Segment {
    fn from(key: String) -> Self {
        Segment::Key(key.into())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Segment::Index(index)
    }
}

/// A path from the document's root; the empty path is the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The document's root.
    pub fn root() -> Self {
        Path::default()
    }

    /// Goes one step up, in place; `None` at the root.
    pub fn pop(&mut self) -> Option<Segment> {
        self.0.pop()
    }

    /// This path and one step more.
    #[must_use]
    pub fn join(&self, segment: impl Into<Segment>) -> Path {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment.into());
        Path(segments)
    }

    /// The path one step up; the root has none.
    pub fn parent(&self) -> Option<Path> {
        let (_, rest) = self.0.split_last()?;
        Some(Path(rest.to_vec()))
    }

    /// The steps from the root on.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The last step; the root has none.
    pub fn last(&self) -> Option<&Segment> {
        self.0.last()
    }

    /// Whether this is the document's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this path is `ancestor` or stands below it.
    pub fn starts_with(&self, ancestor: &Path) -> bool {
        self.0.starts_with(&ancestor.0)
    }
}

impl<S: Into<Segment>> FromIterator<S> for Path {
    fn from_iter<I: IntoIterator<Item = S>>(segments: I) -> Self {
        Path(segments.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) && position == 0 => f.write_str(key)?,
                Segment::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_an_access_in_code() {
        let mut path = Path::root().join("cases").join(0).join("steps").join(2).join("map").join("iova");
        assert_eq!(path.to_string(), "cases[0].steps[2].map.iova");
        assert_eq!(path.pop(), Some(Segment::from("iova")));
        assert_eq!(path.to_string(), "cases[0].steps[2].map");
        assert_eq!(Path::root().to_string(), "");
    }

    #[test]
    fn keys_that_are_no_words_are_quoted() {
        assert_eq!(Path::root().join("iommufd*").join("a b").to_string(), "iommufd*[\"a b\"]");
    }
}
