//! Names of metrics and submetrics as thresholds have them: `http_req_duration{status:200,scenario:"a"}`.

use std::collections::BTreeMap;

/// A metric or submetric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName {
    /// The metric.
    pub metric: String,
    /// What stands between the braces of a submetric, as k6 shows it.
    pub suffix: Option<String>,
    /// Tags of the samples that belong to the submetric; none for a metric.
    pub tags: BTreeMap<String, String>,
}

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A brace without the other, or not in its place.
    #[error("a submetric must be of the form METRIC{{TAG:VALUE,…}}")]
    Braces,
    /// A tag without its value.
    #[error("each tag of a submetric must be of the form TAG:VALUE")]
    Tag,
}

impl MetricName {
    /// Reads a name as k6 does.
    ///
    /// # Errors
    /// When k6 takes it for none either.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let (metric, suffix) = match (name.find('{'), name.rfind('}')) {
            (None, None) => return Ok(Self::of_metric(name)),
            (Some(open), Some(close)) if open < close && close + 1 == name.len() => {
                (name.get(..open), name.get(open + 1..close))
            }
            _ => return Err(NameError::Braces),
        };
        let (metric, suffix) = metric.zip(suffix).ok_or(NameError::Braces)?;
        if suffix.split(',').any(|pair| pair.split_once(':').is_none_or(|(_, v)| v.is_empty())) {
            return Err(NameError::Tag);
        }
        // The outermost space goes first: `{a: }` has a value above, and an empty one below.
        let suffix = suffix.trim();
        let mut tags = BTreeMap::new();
        for pair in suffix.split(',') {
            let (tag, value) = pair.split_once(':').unwrap_or((pair, ""));
            let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
            let tag = bare(tag);
            if tag.is_empty() {
                return Err(NameError::Tag);
            }
            tags.insert(tag, bare(value));
        }
        Ok(Self { metric: metric.to_owned(), suffix: Some(suffix.to_owned()), tags })
    }

    fn of_metric(name: &str) -> Self {
        Self { metric: name.to_owned(), suffix: None, tags: BTreeMap::new() }
    }

    /// The name that k6 shows.
    pub fn shown(&self) -> String {
        match &self.suffix {
            Some(suffix) => format!("{}{{{suffix}}}", self.metric),
            None => self.metric.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(name: &str) -> Vec<(String, String)> {
        MetricName::parse(name).unwrap().tags.into_iter().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_metric_has_no_tags() {
        let name = MetricName::parse("http_reqs").unwrap();
        assert_eq!((name.shown().as_str(), name.tags.len(), name.suffix), ("http_reqs", 0, None));
    }

    #[test]
    fn tags_are_read_as_k6_does() {
        for (name, wanted) in [
            ("m{abc:123}", pairs(&[("abc", "123")])),
            ("m{a:1,b:2}", pairs(&[("a", "1"), ("b", "2")])),
            ("m{ a : 1, b : 2 }", pairs(&[("a", "1"), ("b", "2")])),
            (r#"m{a : '1' , b : "2"}"#, pairs(&[("a", "1"), ("b", "2")])),
            (r#"m{" a" : ' 1' , b : "2 " }"#, pairs(&[(" a", " 1"), ("b", "2 ")])),
            (r#"m{a:"",b: ''}"#, pairs(&[("a", ""), ("b", "")])),
            ("m{a: }", pairs(&[("a", "")])),
            ("m{group:::mygroup}", pairs(&[("group", "::mygroup")])),
            (
                "m{name:http://${}.com,url:ssh://a:b/c}",
                pairs(&[("name", "http://${}.com"), ("url", "ssh://a:b/c")]),
            ),
            ("m{a:1,a:2}", pairs(&[("a", "2")])),
            ("m{{a:b}}", pairs(&[("{a", "b}")])),
        ] {
            assert_eq!(tags(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_submetric_is_shown_without_the_space_around_its_tags() {
        let name = MetricName::parse(r#"m{ a : 1, b:"2" }"#).unwrap();
        assert_eq!(name.shown(), r#"m{a : 1, b:"2"}"#);
    }

    #[test]
    fn what_k6_refuses_is_refused() {
        for name in ["m{a:1", "ma:1}", "m}a:1}x", "m}a{b", "m{a:1}x", "{", "}", "}{"] {
            assert_eq!(MetricName::parse(name), Err(NameError::Braces), "{name}");
        }
        for name in [
            "m{}",
            "m{ }",
            "m{a}",
            "m{a:}",
            "m{a:1,b:}",
            "m{a:1,}",
            "m{,a:1}",
            "m{:1}",
            r#"m{"":1}"#,
        ] {
            assert_eq!(MetricName::parse(name), Err(NameError::Tag), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_without_panic(name in "\\PC{0,16}|[a{}:,' \"]{0,12}") {
            if let Ok(read) = MetricName::parse(&name) {
                prop_assert!(read.suffix.is_some() != read.tags.is_empty());
            }
        }
    }
}
