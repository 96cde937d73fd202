//! The series of a sample: its metric and its dimensions, in one order, however k6 wrote them.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::decode::Point;
use crate::core::{dimensions::Kept, k6::tags::INSTANCE_ID, pipeline::row::perhaps_column};

/// Brings samples into their canonical series. Keeps its buffers from one sample to the next.
#[derive(Debug)]
pub struct Canon {
    instance_id: String,
    /// Which dimensions the rows have, of each output that differs in them; never empty.
    kept: Vec<Kept>,
    key: Vec<u8>,
    row_key: Vec<u8>,
    rows: Vec<u64>,
}

/// A sample's series: borrowed from the sample and from the [`Canon`].
#[derive(Debug)]
pub struct Series<'a> {
    /// Name of the metric.
    pub metric: &'a str,
    /// Names and values, by name, none of them empty, each name once.
    pub dimensions: Vec<(&'a str, &'a str)>,
    /// Equal for two samples exactly if they are of one series.
    pub key: &'a [u8],
    /// A number for the series of each row that the sample becomes, each once. The same in every process; two series may
    /// share one, and do where their rows would be the same, since a tag `time` and a tag `k6_time` are one column.
    pub rows: &'a [u64],
}

impl Canon {
    /// For the samples of one k6 instance, for outputs whose rows have these dimensions. None: all.
    pub fn new(instance_id: u32, kept: impl IntoIterator<Item = Kept>) -> Self {
        let mut kept: Vec<Kept> = kept.into_iter().collect();
        kept.sort();
        kept.dedup();
        if kept.is_empty() {
            kept.push(Kept::All);
        }
        Self {
            instance_id: instance_id.to_string(),
            kept,
            key: Vec::new(),
            row_key: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// The series of a sample: all its tags and metadata that are not empty and that an output keeps, and `instance_id`,
    /// which no tag of the script's can change. Where a tag and a metadatum share a name, the tag stays.
    pub fn series<'a>(&'a mut self, point: &'a Point<'_>) -> Series<'a> {
        let tags = point.tags.0.iter().chain(&point.metadata.0);
        let mut dimensions = tags
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .filter(|(name, value)| !name.is_empty() && !value.is_empty() && *name != INSTANCE_ID)
            .filter(|(name, _)| self.kept.iter().any(|kept| kept.has(name)))
            .collect::<Vec<_>>();
        dimensions.push((INSTANCE_ID, &self.instance_id));
        // Stable, so that of two equal names the first stays first.
        dimensions.sort_by(|a, b| a.0.cmp(b.0));
        dimensions.dedup_by(|later, first| later.0 == first.0);
        write_key(&mut self.key, &point.metric, &dimensions);
        self.rows.clear();
        let are_columns = dimensions.iter().all(|(name, _)| *name == perhaps_column(name));
        if self.kept.len() == 1 && are_columns {
            self.rows.push(hash(&self.key));
        } else {
            for kept in &self.kept {
                let mut columns = kept.of_series(&dimensions);
                for (name, _) in &mut columns {
                    *name = perhaps_column(name);
                }
                columns.sort_unstable();
                write_key(&mut self.row_key, &point.metric, &columns);
                let row = hash(&self.row_key);
                if !self.rows.contains(&row) {
                    self.rows.push(row);
                }
            }
        }
        Series { metric: &point.metric, dimensions, key: &self.key, rows: &self.rows }
    }
}

fn write_key(key: &mut Vec<u8>, metric: &str, dimensions: &[(&str, &str)]) {
    key.clear();
    put(key, metric);
    for (name, value) in dimensions {
        put(key, name);
        put(key, value);
    }
}

/// Each text with its length before it, so that no two lists of texts give the same bytes.
fn put(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&text.len().to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

fn hash(key: &[u8]) -> u64 {
    FixedState::default().hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::decode::{Line, decode};

    fn dimensions(tags: &str, metadata: &str) -> (Vec<(String, String)>, Vec<u8>) {
        let line = format!(
            r#"{{"metric":"m","type":"Point","data":{{"time":"2026-11-22T07:28:28Z","value":1,"tags":{tags},"metadata":{metadata}}}}}"#
        );
        let Line::Point(point) = decode(line.as_bytes()).unwrap() else { panic!("a sample") };
        let mut canon = Canon::new(2, []);
        let series = canon.series(&point);
        let owned = series.dimensions.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        (owned.collect(), series.key.to_vec())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_and_metadata_become_dimensions_by_name() {
        let (found, _) = dimensions(r#"{"url":"u","group":"","a":"1"}"#, r#"{"vu":"7"}"#);
        assert_eq!(found, pairs(&[("a", "1"), ("instance_id", "2"), ("url", "u"), ("vu", "7")]));
    }

    #[test]
    fn a_sample_without_tags_still_has_its_instance() {
        assert_eq!(dimensions("null", "null").0, pairs(&[("instance_id", "2")]));
    }

    #[test]
    fn a_script_cannot_change_the_instance() {
        let (found, _) = dimensions(r#"{"instance_id":"9"}"#, r#"{"instance_id":"8"}"#);
        assert_eq!(found, pairs(&[("instance_id", "2")]));
    }

    #[test]
    fn a_tag_stays_before_a_metadatum_of_its_name() {
        let (found, _) = dimensions(r#"{"vu":"tag"}"#, r#"{"vu":"meta"}"#);
        assert_eq!(found, pairs(&[("instance_id", "2"), ("vu", "tag")]));
    }

    #[test]
    fn a_tag_and_one_that_has_its_column_s_name_are_of_one_row() {
        let rows = |tags: &str| {
            let line = format!(
                r#"{{"metric":"m","type":"Point","data":{{"time":"2026-11-22T07:28:28Z","value":1,"tags":{tags}}}}}"#
            );
            let Line::Point(point) = decode(line.as_bytes()).unwrap() else { panic!("a sample") };
            Canon::new(2, []).series(&point).rows.to_vec()
        };
        let one = rows(r#"{"a":"1","time":"x"}"#);
        assert_eq!(one, rows(r#"{"a":"1","k6_time":"x"}"#));
        assert_ne!(one, rows(r#"{"a":"1","time":"y"}"#));
        assert_ne!(one, rows(r#"{"a":"1","ts_":"x"}"#));
    }

    #[test]
    fn the_order_of_tags_does_not_make_a_series() {
        let one = dimensions(r#"{"a":"1","b":"2"}"#, "null").1;
        assert_eq!(one, dimensions(r#"{"b":"2","a":"1"}"#, "null").1);
        assert_ne!(one, dimensions(r#"{"a":"1b","b":"2"}"#, "null").1);
        assert_ne!(one, dimensions(r#"{"a":"12"}"#, "null").1);
    }
}
