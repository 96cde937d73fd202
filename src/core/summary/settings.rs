//! What of a run's options, arguments and surroundings shapes its summary.

use serde::{Deserialize, Serialize};

use super::stat::{self, Stat};
use crate::core::k6::{
    args::{UserArgs, parse_bool},
    environment::Environment,
    version::Version,
};

/// How much a summary shows (`--summary-mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Results of the whole test.
    #[default]
    Compact,
    /// Those of its groups and scenarios as well.
    Full,
    /// The text that k6 wrote before 1.0; k6 2 has it no more.
    Legacy,
    /// Nothing: no text, no file, no `handleSummary`.
    Disabled,
}

/// All that shapes a summary besides what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "wishes and facts that do not exclude each other"
)]
pub struct Settings {
    /// How much it shows.
    pub mode: Mode,
    /// `summaryTrendStats`, in the user's order.
    pub trend_stats: Vec<Stat>,
    /// `summaryTimeUnit`: `s`, `ms`, `us`, or empty for the unit that fits.
    pub time_unit: String,
    /// `--new-machine-readable-summary`.
    pub machine_readable: bool,
    /// The file of `--summary-export`.
    pub export: Option<String>,
    /// `--no-color`.
    pub no_color: bool,
    /// Standard output is a terminal.
    pub stdout_tty: bool,
    /// Standard error is a terminal.
    pub stderr_tty: bool,
}

/// Why no summary can be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not what `k6 inspect` or an archive holds as options.
    #[error("the script's options cannot be read")]
    Options(#[source] serde_json::Error),
    /// None of k6's modes.
    #[error("{0:?} is no summary mode of this k6")]
    Mode(String),
    /// None of k6's statistics.
    #[error("{0:?} is no statistic of a trend")]
    Stat(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    summary_trend_stats: Option<Vec<String>>,
    summary_time_unit: Option<String>,
}

impl Settings {
    /// Reads them as k6 does: a flag weighs more than a variable, which weighs more than the script's `options` (the
    /// object that `k6 inspect` prints, or that an archive's metadata holds).
    pub fn read(
        options: &[u8],
        user: &UserArgs,
        environment: &Environment,
        version: &Version,
    ) -> Result<Self, SettingsError> {
        let options: Options = serde_json::from_slice(options).map_err(SettingsError::Options)?;
        let variable = |name: &str| environment.get(name).map(String::as_str);
        let truth = |name: &str| variable(name).and_then(parse_bool);
        let flag_truth = |name: &str| flag(user, name).and_then(parse_bool);

        let said = user.summary_mode.as_deref();
        let no_summary = version.is_before_2() && truth("K6_NO_SUMMARY") == Some(true);
        let mode = match said.or_else(|| variable("K6_SUMMARY_MODE")) {
            _ if said.is_none() && no_summary => Mode::Disabled,
            None | Some("" | "compact") => Mode::Compact,
            Some("full") => Mode::Full,
            Some("legacy") if version.is_before_2() => Mode::Legacy,
            Some("disabled") => Mode::Disabled,
            Some(other) => return Err(SettingsError::Mode(other.to_owned())),
        };
        let machine_readable = flag_truth("new-machine-readable-summary")
            .or_else(|| truth("K6_NEW_MACHINE_READABLE_SUMMARY"))
            .unwrap_or(false);
        let export = user.summary_export.as_deref().or_else(|| variable("K6_SUMMARY_EXPORT"));
        let colorless = variable("K6_NO_COLOR").is_some_and(|value| !value.is_empty())
            || variable("NO_COLOR").is_some();
        let time_unit = flag(user, "summary-time-unit")
            .filter(|unit| !unit.is_empty())
            .or_else(|| variable("K6_SUMMARY_TIME_UNIT"))
            .map(str::to_owned)
            .or(options.summary_time_unit);
        Ok(Self {
            mode,
            trend_stats: trend_stats(options.summary_trend_stats, user, environment)?,
            time_unit: time_unit.unwrap_or_default(),
            // The legacy summary has but one shape.
            machine_readable: machine_readable && mode != Mode::Legacy,
            export: export.filter(|path| !path.is_empty()).map(str::to_owned),
            no_color: flag_truth("no-color").unwrap_or(colorless),
            stdout_tty: false,
            stderr_tty: false,
        })
    }

    /// Whether the text is coloured.
    pub fn colors(&self) -> bool {
        self.stdout_tty && !self.no_color
    }
}

fn trend_stats(
    options: Option<Vec<String>>,
    user: &UserArgs,
    environment: &Environment,
) -> Result<Vec<Stat>, SettingsError> {
    let listed = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let flags: Vec<String> = flags(user, "summary-trend-stats").flat_map(listed).collect();
    let variable = || environment.get("K6_SUMMARY_TREND_STATS").map(|text| listed(text));
    let names = if flags.is_empty() { variable().or(options) } else { Some(flags) };
    let Some(names) = names else { return Ok(stat::defaults()) };
    let read = |name: String| Stat::parse(&name).ok_or(SettingsError::Stat(name));
    names.into_iter().map(read).collect()
}

/// The values of a flag that goes to k6 as it is, in the order in which they were given.
fn flags<'a>(user: &'a UserArgs, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    let prefix = format!("--{name}=");
    user.run.iter().filter_map(move |arg| arg.strip_prefix(&prefix))
}

fn flag<'a>(user: &'a UserArgs, name: &str) -> Option<&'a str> {
    flags(user, name).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::k6::args::check;

    fn read(
        options: &str,
        args: &[&str],
        environment: &[(&str, &str)],
        version: &str,
    ) -> Result<Settings, SettingsError> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let environment =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let version = Version::parse(version);
        Settings::read(options.as_bytes(), &check(&args).unwrap(), &environment, &version)
    }

    fn names(settings: &Settings) -> Vec<&str> {
        settings.trend_stats.iter().map(|stat| stat.name.as_str()).collect()
    }

    #[test]
    fn a_script_that_says_nothing_gets_what_k6_gives() {
        let settings = read(r#"{"summaryTrendStats":null}"#, &[], &[], "k6 v2.2.0").unwrap();
        assert_eq!(names(&settings), ["avg", "min", "med", "max", "p(90)", "p(95)"]);
        let wanted = Settings { trend_stats: stat::defaults(), ..Settings::default() };
        assert_eq!(settings, wanted);
    }

    #[test]
    fn a_flag_weighs_more_than_a_variable_and_this_more_than_the_script() {
        let options = r#"{"summaryTrendStats":["avg"],"summaryTimeUnit":"s"}"#;
        let script = read(options, &[], &[], "k6 v2.2.0").unwrap();
        assert_eq!((names(&script), script.time_unit.as_str()), (vec!["avg"], "s"));
        let variables = [("K6_SUMMARY_TREND_STATS", "min,max"), ("K6_SUMMARY_TIME_UNIT", "ms")];
        let variable = read(options, &[], &variables, "k6 v2.2.0").unwrap();
        assert_eq!((names(&variable), variable.time_unit.as_str()), (vec!["min", "max"], "ms"));
        let args = ["--summary-trend-stats=p(99),med", "--summary-time-unit", "us"];
        let flag = read(options, &args, &variables, "k6 v2.2.0").unwrap();
        assert_eq!((names(&flag), flag.time_unit.as_str()), (vec!["p(99)", "med"], "us"));
    }

    #[test]
    fn the_mode_is_one_of_this_k6() {
        let mode = |args: &[&str], environment: &[(&str, &str)], version: &str| {
            read("{}", args, environment, version).map(|settings| settings.mode)
        };
        let full = [("K6_SUMMARY_MODE", "full")];
        assert_eq!(mode(&[], &full, "k6 v2.2.0").unwrap(), Mode::Full);
        assert_eq!(mode(&["--summary-mode=compact"], &full, "k6 v2.2.0").unwrap(), Mode::Compact);
        assert_eq!(mode(&["--summary-mode=legacy"], &[], "k6 v1.8.1").unwrap(), Mode::Legacy);
        assert!(mode(&["--summary-mode=legacy"], &[], "k6 v2.2.0").is_err());
        assert_eq!(mode(&["--no-summary"], &[], "k6 v1.8.1").unwrap(), Mode::Disabled);
        let none = [("K6_NO_SUMMARY", "true")];
        assert_eq!(mode(&[], &none, "k6 v1.8.1").unwrap(), Mode::Disabled);
        assert_eq!(mode(&[], &none, "k6 v2.2.0").unwrap(), Mode::Compact);
    }

    #[test]
    fn wishes_are_read_from_flags_and_variables() {
        let args = ["--new-machine-readable-summary", "--summary-export=a.json", "--no-color"];
        let flags = read("{}", &args, &[], "k6 v2.2.0").unwrap();
        assert!(flags.machine_readable && flags.no_color);
        assert_eq!(flags.export.as_deref(), Some("a.json"));
        let variables = [
            ("K6_NEW_MACHINE_READABLE_SUMMARY", "1"),
            ("K6_SUMMARY_EXPORT", "b.json"),
            ("NO_COLOR", ""),
        ];
        let variables = read("{}", &[], &variables, "k6 v2.2.0").unwrap();
        assert!(variables.machine_readable && variables.no_color);
        assert_eq!(variables.export.as_deref(), Some("b.json"));
    }

    #[test]
    fn what_k6_would_refuse_is_an_error() {
        assert!(matches!(read("[", &[], &[], ""), Err(SettingsError::Options(_))));
        let stats = r#"{"summaryTrendStats":["p95"]}"#;
        assert!(matches!(read(stats, &[], &[], ""), Err(SettingsError::Stat(_))));
        let args = ["--summary-mode=short"];
        assert!(matches!(read("{}", &args, &[], ""), Err(SettingsError::Mode(_))));
    }
}
