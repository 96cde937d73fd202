//! The statistics that a summary shows of a trend (`summaryTrendStats`).

use serde::{Deserialize, Serialize};

use crate::core::ledger::{stats::count_f64, view::Trend};

/// One statistic, under the name that the user gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Stat {
    /// As given, such as `p(95)`: it names the value in JSON and in the text.
    pub name: String,
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Avg,
    Min,
    Med,
    Max,
    Count,
    /// From 0 to 100.
    Percentile(f64),
}

impl From<Stat> for String {
    fn from(stat: Stat) -> Self {
        stat.name
    }
}

impl TryFrom<String> for Stat {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::parse(&name).ok_or(name)
    }
}

impl Stat {
    /// Reads a name as `--summary-trend-stats` takes it.
    pub fn parse(name: &str) -> Option<Self> {
        let of = match name {
            "avg" => Of::Avg,
            "min" => Of::Min,
            "med" => Of::Med,
            "max" => Of::Max,
            "count" => Of::Count,
            _ => {
                let percent = name.strip_prefix("p(")?.strip_suffix(')')?.parse().ok()?;
                if !(0.0..=100.0).contains(&percent) {
                    return None;
                }
                Of::Percentile(percent)
            }
        };
        Some(Self { name: name.to_owned(), of })
    }

    /// Whether it is a number of values, which has no unit.
    pub fn is_count(&self) -> bool {
        self.of == Of::Count
    }

    /// Whether it is a percentile.
    pub fn is_percentile(&self) -> bool {
        matches!(self.of, Of::Percentile(_))
    }

    /// Its value.
    pub fn of(&self, trend: &Trend) -> f64 {
        match self.of {
            Of::Avg => trend.avg(),
            Of::Min => trend.min(),
            Of::Med => trend.percentile(0.5),
            Of::Max => trend.max(),
            Of::Count => count_f64(trend.count()),
            Of::Percentile(percent) => trend.percentile(percent / 100.0),
        }
    }
}

/// The statistics of a script that names none.
pub fn defaults() -> Vec<Stat> {
    ["avg", "min", "med", "max", "p(90)", "p(95)"].into_iter().filter_map(Stat::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_k6_takes_them() {
        for name in ["avg", "min", "med", "max", "count", "p(0)", "p(99.99)", "p(100)"] {
            assert_eq!(Stat::parse(name).map(|stat| stat.name), Some(name.to_owned()));
        }
        for name in ["", "sum", "p95", "p(101)", "p(-1)", "p()", "p(x)", "p(NaN)", "Avg"] {
            assert_eq!(Stat::parse(name), None, "{name}");
        }
    }

    #[test]
    fn each_name_gives_its_value() {
        let mut trend = Trend::default();
        for value in [4.0, 1.0, 2.0, 9.0] {
            trend.add(value);
        }
        let value = |name| Stat::parse(name).unwrap().of(&trend);
        let exact =
            ["avg", "min", "max", "count", "p(0)", "p(100)"].map(|name| value(name).to_string());
        assert_eq!(exact, ["4", "1", "9", "4", "1", "9"]);
        for name in ["med", "p(50)"] {
            assert!((value(name) - 3.0).abs() <= 0.003, "{}", value(name));
        }
    }
}
