//! k6's text, line by line: blanks between columns count as one, numbers are compared as numbers.

use std::collections::BTreeSet;

use crate::{
    case::Head,
    compare::Found,
    tolerated::{DEPRECATED, How, Tolerated, how, may_lack},
};

/// Lines of one text that the other lacks, shown at most.
const SHOWN_MAX: usize = 4;

pub(crate) fn compare(
    found: &mut Found,
    head: &Head,
    durations_ms: &[f64],
    name: &str,
    texts: [&str; 2],
) {
    let mut lines = texts.map(|text| text.lines().map(str::trim_end).collect::<Vec<_>>());
    if lines[0].iter().any(|line| line.starts_with(DEPRECATED)) {
        found.tolerate(Tolerated::Deprecated);
        lines[0].retain(|line| !line.starts_with(DEPRECATED));
    }
    if head.free.iter().any(|free| free == "checks") {
        // Below a check that failed at least once.
        for lines in &mut lines {
            lines.retain(|line| !line.trim_start().starts_with('↳'));
        }
        found.tolerate(Tolerated::Free);
    }
    let [named_by_k6, named_by_weir] =
        [0, 1].map(|i| lines[i].iter().filter_map(|line| measured(line)).collect::<BTreeSet<_>>());
    for metric in named_by_k6.symmetric_difference(&named_by_weir) {
        if let Some(why) = may_lack(head, metric, durations_ms) {
            found.tolerate(why);
            for lines in &mut lines {
                lines.retain(|line| measured(line) != Some(metric));
            }
        }
    }
    let [of_k6, of_weir] = lines;
    if of_k6.len() != of_weir.len() {
        found.differ(format!("{name}: k6 {} lines, Weir {}", of_k6.len(), of_weir.len()));
        for (one, other, who) in [(&of_k6, &of_weir, "Weir"), (&of_weir, &of_k6, "k6")] {
            let lacks = |line: &&&str| !other.iter().any(|other| shape(other) == shape(line));
            for line in one.iter().filter(lacks).take(SHOWN_MAX) {
                found.differ(format!("{name}: {who} has not {:?}", line.trim()));
            }
        }
        return;
    }
    let mut metric = String::new();
    for (of_k6, of_weir) in of_k6.iter().zip(&of_weir) {
        if let Some(named) = metric_of(of_k6) {
            metric = named;
        }
        let mut line = Line { head, metric: &metric, why: None, near: None };
        if line.is_equal(of_k6, of_weir) {
            if let Some(why) = line.why.or(line.near) {
                found.tolerate(why);
            }
        } else {
            found.differ(format!("{name}: k6 {:?}, Weir {:?}", of_k6.trim(), of_weir.trim()));
        }
    }
}

/// What of a line no value changes: what stands before its first one.
fn shape(line: &str) -> &str {
    let line = line.trim_start().trim_start_matches(['✓', '✗', ' ']);
    let end = line.rfind("' ").or_else(|| line.find(": "));
    line.get(..end.unwrap_or(line.len())).unwrap_or(line)
}

/// The metric of a line of values, such as `iterations....: 20 8985.9/s`.
fn measured(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().split_once("...")?;
    name.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(name)
}

/// The metric that a line is about, where it says so: `iterations....: 20 8985.9/s`, `http_reqs`, `http_reqs{a:b}`.
fn metric_of(line: &str) -> Option<String> {
    let line = line.trim();
    let word = line.split(": ").next()?.trim_end_matches('.').trim_end();
    if line.starts_with('{') {
        // A submetric below its metric: what is said of the one is said of the other.
        return None;
    }
    let base = word.split('{').next()?;
    let is_name = !base.is_empty() && base.chars().all(|c| c.is_alphanumeric() || c == '_');
    let name = if base.starts_with("checks_") { "checks" } else { base };
    is_name.then(|| name.to_owned())
}

struct Line<'a> {
    head: &'a Head,
    metric: &'a str,
    why: Option<Tolerated>,
    near: Option<Tolerated>,
}

impl Line<'_> {
    fn is_equal(&mut self, k6: &str, weir: &str) -> bool {
        let indent = |line: &str| line.len() - line.trim_start().len();
        if k6 == weir {
            return true;
        }
        if indent(k6) != indent(weir) {
            return false;
        }
        let is_check = |line: &str| line.trim_start().starts_with(['✓', '✗']);
        let is_threshold = k6.contains('\'');
        if is_check(k6) && !is_threshold && self.head.free.iter().any(|free| free == "checks") {
            self.why = Some(Tolerated::Free);
            let bare =
                |line: &str| line.replace(|c: char| c.is_ascii_digit() || "✓✗".contains(c), "");
            return bare(k6).split_whitespace().eq(bare(weir).split_whitespace());
        }
        // The unit of a free value is as free as the value: 0.9 ms or 1.1 s, 90 B or 1.1 kB.
        let anything = matches!(how(self.head, self.metric, "value", false), How::Any(_));
        let [k6, weir] = [k6, weir].map(|line| words(line, anything));
        k6.len() == weir.len() && k6.iter().zip(&weir).all(|(k6, weir)| self.word(k6, weir))
    }

    fn word(&mut self, k6: &Word, weir: &Word) -> bool {
        match (k6, weir) {
            (Word::Text(k6), Word::Text(weir)) => k6 == weir,
            (
                Word::Number(key, value, unit, decimals),
                Word::Number(other_key, other, other_unit, _),
            ) => {
                let is_rate = unit.ends_with("/s");
                if key != other_key || is_rate != other_unit.ends_with("/s") {
                    return false;
                }
                let how = how(self.head, self.metric, if is_rate { "rate" } else { key }, is_rate);
                match how {
                    How::Any(why) => self.why = Some(why),
                    How::Exact => return value.to_bits() == other.to_bits() && unit == other_unit,
                    How::Near(error, why) => {
                        if value.to_bits() != other.to_bits() {
                            self.near = Some(why);
                        }
                        let last_digit = 10_f64.powi(-*decimals) / 2.0 * 1.001;
                        let error =
                            if error > 1e-6 { error * value.abs() + last_digit } else { 0.0 };
                        return unit == other_unit && (value - other).abs() <= error;
                    }
                }
                true
            }
            _ => false,
        }
    }
}

/// A part of a line between blanks.
#[derive(Debug)]
enum Word {
    Text(String),
    /// What stands before `=`, the number, its unit, its decimals.
    Number(String, f64, String, i32),
}

fn words(line: &str, free: bool) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    // What a threshold demands is compared as it is written, blanks and all.
    if let Some((mark, after)) = rest.split_once('\'')
        && let Some((wanted, after)) = after.split_once("' ")
    {
        words.push(Word::Text(format!("{mark}{wanted}")));
        rest = after;
    }
    let mut parts = rest.split_whitespace().peekable();
    while let Some(part) = parts.next() {
        let (key, value) = part.rsplit_once('=').unwrap_or(("", part));
        let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-');
        let (number, unit) = value.split_at(digits.unwrap_or(value.len()));
        let Ok(number_value) = number.parse::<f64>() else {
            words.push(Word::Text(part.to_owned()));
            continue;
        };
        let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let mut unit = unit.to_owned();
        let is_size =
            |next: &&str| ["B", "kB", "MB", "GB", "TB"].contains(&next.trim_end_matches("/s"));
        if unit.is_empty()
            && let Some(size) = parts.next_if(|next| is_size(next))
        {
            size.clone_into(&mut unit);
        }
        let unit = match (free, unit.ends_with("/s")) {
            (true, true) => "/s".to_owned(),
            (true, false) => String::new(),
            (false, _) => unit,
        };
        words.push(Word::Number(
            key.to_owned(),
            number_value,
            unit,
            i32::try_from(decimals).unwrap(),
        ));
    }
    words
}
