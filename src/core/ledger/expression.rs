//! The grammar of a threshold: `p(95)<500`.

use super::{number, view::Kind};

/// What a threshold compares, and with what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expression {
    /// What of a metric is compared.
    pub aggregation: Aggregation,
    /// How.
    pub operator: Operator,
    /// With what.
    pub target: f64,
}

/// What of a metric a threshold compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// Last value of a gauge.
    Value,
    /// Sum of a counter.
    Count,
    /// Sum of a counter per second, or share of a rate that is not zero.
    Rate,
    /// Mean of a trend.
    Avg,
    /// Lowest value of a trend.
    Min,
    /// Median of a trend.
    Med,
    /// Highest value of a trend.
    Max,
    /// Percentile of a trend, from 0 to 100.
    Percentile(f64),
}

/// How a threshold compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<=`
    LessOrEqual,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
    /// `==` and `===`
    Equal,
    /// `!=`
    NotEqual,
}

/// Why an expression is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// There is no operator with something behind it.
    #[error("it must be of the form AGGREGATION OPERATOR NUMBER, such as p(95)<500")]
    Form,
    /// What stands before the operator.
    #[error("what is compared must be one of count, rate, value, avg, min, med, max or p(N)")]
    Aggregation,
    /// The number of a percentile.
    #[error("a percentile must be a number from 0 to 100")]
    Percentile,
    /// What stands behind the operator.
    #[error("the right side must be a number")]
    Target,
}

/// In the order in which they are looked for: an expression is cut at the first that is found in it.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::LessOrEqual),
    ("<", Operator::Less),
    (">=", Operator::GreaterOrEqual),
    (">", Operator::Greater),
    ("===", Operator::Equal),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
];

impl Expression {
    /// Reads an expression as k6 does.
    ///
    /// # Errors
    /// When k6 takes it for none either.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        let cut = OPERATORS.iter().find_map(|(token, operator)| {
            let (left, right) = source.split_once(token)?;
            (!right.is_empty()).then_some((left.trim(), *operator, right.trim()))
        });
        let (left, operator, right) = cut.ok_or(ExpressionError::Form)?;
        let aggregation = Aggregation::parse(left)?;
        let target = number::parse(right).ok_or(ExpressionError::Target)?;
        Ok(Self { aggregation, operator, target })
    }

    /// Whether a value holds it.
    pub fn holds(&self, value: f64) -> bool {
        self.operator.holds(value.partial_cmp(&self.target))
    }
}

impl Aggregation {
    fn parse(text: &str) -> Result<Self, ExpressionError> {
        let named = match text {
            "value" => Some(Self::Value),
            "count" => Some(Self::Count),
            "rate" => Some(Self::Rate),
            "avg" => Some(Self::Avg),
            "min" => Some(Self::Min),
            "med" => Some(Self::Med),
            "max" => Some(Self::Max),
            // k6 lets a percentile without its number pass, and compares p(0).
            "p" => Some(Self::Percentile(0.0)),
            _ => None,
        };
        if let Some(named) = named {
            return Ok(named);
        }
        let number = text.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')'));
        let share = number::parse(number.ok_or(ExpressionError::Aggregation)?);
        share
            .filter(|share| (0.0..=100.0).contains(share))
            .map(Self::Percentile)
            .ok_or(ExpressionError::Percentile)
    }

    /// The kinds of metrics that have it.
    pub const fn is_of(self, kind: Kind) -> bool {
        match kind {
            Kind::Counter => matches!(self, Self::Count | Self::Rate),
            Kind::Gauge => matches!(self, Self::Value),
            Kind::Rate => matches!(self, Self::Rate),
            Kind::Trend => !matches!(self, Self::Count | Self::Rate | Self::Value),
        }
    }

    /// Of a percentile and of the median: the share of values below it, from 0 to 1.
    pub fn share(self) -> Option<f64> {
        match self {
            Self::Med => Some(0.5),
            Self::Percentile(percent) => Some(percent / 100.0),
            _ => None,
        }
    }
}

impl Operator {
    /// Whether it holds for a value that compares so with the target; none where one of them is no number.
    pub const fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self {
            Self::LessOrEqual => matches!(order, Some(Less | Equal)),
            Self::Less => matches!(order, Some(Less)),
            Self::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
            Self::Greater => matches!(order, Some(Greater)),
            Self::Equal => matches!(order, Some(Equal)),
            Self::NotEqual => !matches!(order, Some(Equal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expression(aggregation: Aggregation, operator: Operator, target: f64) -> Expression {
        Expression { aggregation, operator, target }
    }

    #[test]
    fn every_aggregation_operator_and_space_of_k6_is_read() {
        for (source, wanted) in [
            ("p(95)<500", expression(Aggregation::Percentile(95.0), Operator::Less, 500.0)),
            (
                "p(99.9) <= 5.5",
                expression(Aggregation::Percentile(99.9), Operator::LessOrEqual, 5.5),
            ),
            ("p<200", expression(Aggregation::Percentile(0.0), Operator::Less, 200.0)),
            (
                "\t rate  >=\u{a0}0.01 ",
                expression(Aggregation::Rate, Operator::GreaterOrEqual, 0.01),
            ),
            ("count===20", expression(Aggregation::Count, Operator::Equal, 20.0)),
            ("count==20", expression(Aggregation::Count, Operator::Equal, 20.0)),
            ("value!=-1e3", expression(Aggregation::Value, Operator::NotEqual, -1000.0)),
            ("avg>0x10p0", expression(Aggregation::Avg, Operator::Greater, 16.0)),
            ("min>+Inf", expression(Aggregation::Min, Operator::Greater, f64::INFINITY)),
            ("max<1_000", expression(Aggregation::Max, Operator::Less, 1000.0)),
            ("med<1", expression(Aggregation::Med, Operator::Less, 1.0)),
        ] {
            assert_eq!(Expression::parse(source), Ok(wanted), "{source}");
        }
    }

    #[test]
    fn what_k6_refuses_is_refused_with_what_is_wrong() {
        for (source, wanted) in [
            ("", ExpressionError::Form),
            ("count", ExpressionError::Form),
            ("count<", ExpressionError::Form),
            ("count!20", ExpressionError::Form),
            ("count=20", ExpressionError::Form),
            ("foo>20", ExpressionError::Aggregation),
            ("p(99<20", ExpressionError::Aggregation),
            ("P(95)<1", ExpressionError::Aggregation),
            ("p ( 95)<1", ExpressionError::Aggregation),
            ("p()<20", ExpressionError::Percentile),
            ("p( 90)<1", ExpressionError::Percentile),
            ("p(-1)<20", ExpressionError::Percentile),
            ("p(101)<20", ExpressionError::Percentile),
            ("p(NaN)<20", ExpressionError::Percentile),
            ("count>abc", ExpressionError::Target),
            ("count=<20", ExpressionError::Aggregation),
            ("count>=<20", ExpressionError::Aggregation),
            ("rate<0.1 && rate>0", ExpressionError::Target),
            ("count> ", ExpressionError::Target),
        ] {
            assert_eq!(Expression::parse(source), Err(wanted), "{source}");
        }
    }

    #[test]
    fn a_target_that_is_no_number_is_unequal_to_everything() {
        let holds = |source: &str| Expression::parse(source).unwrap().holds(1.0);
        assert!(holds("avg!=nan"));
        assert!(!holds("avg==nan") && !holds("avg<nan") && !holds("avg>=nan"));
    }

    #[test]
    fn each_kind_has_its_own_aggregations() {
        let of = |source: &str, kind| Expression::parse(source).unwrap().aggregation.is_of(kind);
        assert!(of("count>0", Kind::Counter) && of("rate>0", Kind::Counter));
        assert!(of("rate>0", Kind::Rate) && !of("count>0", Kind::Rate));
        assert!(of("value>0", Kind::Gauge) && !of("max>0", Kind::Gauge));
        assert!(
            of("p(9)>0", Kind::Trend) && of("med>0", Kind::Trend) && !of("rate>0", Kind::Trend)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(source in "\\PC{0,16}|[p(9.)<>=! ]{0,10}") {
            if let Ok(read) = Expression::parse(&source) {
                prop_assert!(read.aggregation.share().is_none_or(|share| (0.0..=1.0).contains(&share)));
            }
        }
    }
}
