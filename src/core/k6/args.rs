//! The user's arguments for `k6 run` (`spec.k6.args`), read as k6 itself would read them.

use super::flags::{self, Arity, Flag, Role};

/// A user's arguments, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserArgs {
    /// Goes to `k6 run` as it is.
    pub run: Vec<String>,
    /// Goes to `k6 archive` as it is.
    pub archive: Vec<String>,
    /// Goes to `k6 inspect` as it is.
    pub inspect: Vec<String>,
    /// `--vus`.
    pub vus: Option<String>,
    /// `--duration`.
    pub duration: Option<String>,
    /// `--iterations`.
    pub iterations: Option<String>,
    /// `--stage`, each as given.
    pub stages: Vec<String>,
    /// `--features`, each as given.
    pub features: Vec<String>,
    /// `--tag`, each as name and value.
    pub tags: Vec<(String, String)>,
    /// `--out`, each as given.
    pub outs: Vec<String>,
    /// `--no-setup`.
    pub no_setup: Option<bool>,
    /// `--no-teardown`.
    pub no_teardown: Option<bool>,
    /// `--no-thresholds`.
    pub no_thresholds: Option<bool>,
    /// `--summary-mode`; `disabled` for `--no-summary`.
    pub summary_mode: Option<String>,
    /// `--summary-export`.
    pub summary_export: Option<String>,
}

/// Why a user's arguments cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// The flag is Weir's own.
    #[error("spec.k6.args: {flag} cannot be set: {remedy}")]
    Refused {
        /// As the user gave it.
        flag: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An argument that is no flag: k6 would take it for the script.
    #[error("spec.k6.args: {0:?} is not a flag: the script is spec.script, remove it")]
    Positional(String),
    /// The flag takes a value, and none follows.
    #[error("spec.k6.args: {0} needs a value")]
    NeedsValue(String),
    /// The value is none that k6 takes.
    #[error("spec.k6.args: {flag}: {value:?} is not {wanted}")]
    BadValue {
        /// Long name with dashes.
        flag: String,
        /// As given.
        value: String,
        /// What k6 takes.
        wanted: &'static str,
    },
    /// No flag at all, though it begins with a dash.
    #[error("spec.k6.args: {0:?} is not written as a flag")]
    Syntax(String),
}

/// Reads the arguments that a user gives for `k6 run`.
///
/// # Errors
/// When k6 could not read them, or when one of them is Weir's own.
pub fn check(args: &[String]) -> Result<UserArgs, ArgError> {
    let mut user = UserArgs::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            match rest.next() {
                Some(script) => return Err(ArgError::Positional(script.clone())),
                None => break,
            }
        }
        match arg.strip_prefix("--") {
            Some(long) => take_long(&mut user, arg, long, &mut rest)?,
            None => match arg.strip_prefix('-') {
                Some(short) if !short.is_empty() => take_short(&mut user, arg, short, &mut rest)?,
                _ => return Err(ArgError::Positional(arg.clone())),
            },
        }
    }
    Ok(user)
}

type Rest<'a> = std::slice::Iter<'a, String>;

fn take_long(
    user: &mut UserArgs,
    arg: &str,
    long: &str,
    rest: &mut Rest<'_>,
) -> Result<(), ArgError> {
    if long.starts_with('-') || long.starts_with('=') {
        return Err(ArgError::Syntax(arg.to_owned()));
    }
    let (name, given) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let Some(flag) = flags::by_name(name) else {
        take_unknown(user, arg, rest);
        return Ok(());
    };
    let value = match (given, flag.arity) {
        (Some(value), _) => value,
        (None, Arity::Switch) => flags::value_of_bare(name),
        (None, Arity::Value) => {
            refuse(flag, arg)?;
            rest.next().ok_or_else(|| ArgError::NeedsValue(arg.to_owned()))?
        }
    };
    take(user, flag, arg, value)
}

/// One argument of one dash: switches may be bundled, and the last flag of a bundle may take a value.
fn take_short(
    user: &mut UserArgs,
    arg: &str,
    bundle: &str,
    rest: &mut Rest<'_>,
) -> Result<(), ArgError> {
    let mut letters = bundle;
    while let Some(letter) = letters.chars().next() {
        let after = letters.get(letter.len_utf8()..).unwrap_or_default();
        let Some(flag) = flags::by_short(letter) else {
            // Nothing can be said of what stands behind an unknown letter: k6 gets it all.
            take_unknown(user, &format!("-{letters}"), rest);
            return Ok(());
        };
        let shown = format!("-{letter}");
        let with_equals = after.strip_prefix('=').filter(|value| !value.is_empty());
        let value = match (with_equals, flag.arity) {
            (Some(value), _) => {
                letters = "";
                value
            }
            (None, Arity::Switch) => {
                letters = after;
                flags::value_of_bare(flag.name)
            }
            (None, Arity::Value) if !after.is_empty() => {
                letters = "";
                after
            }
            (None, Arity::Value) => {
                refuse(flag, &shown)?;
                letters = "";
                rest.next().ok_or_else(|| ArgError::NeedsValue(arg.to_owned()))?
            }
        };
        take(user, flag, &shown, value)?;
    }
    Ok(())
}

/// A flag of an extension, or of a k6 newer than this table: it goes to k6 with what seems to be its value.
fn take_unknown(user: &mut UserArgs, arg: &str, rest: &mut Rest<'_>) {
    user.run.push(arg.to_owned());
    let value = rest.as_slice().first().filter(|next| !next.starts_with('-'));
    if let (false, Some(value)) = (arg.contains('='), value) {
        user.run.push(value.clone());
        rest.next();
    }
}

fn refuse(flag: &Flag, arg: &str) -> Result<(), ArgError> {
    match flag.role {
        Role::Refused(remedy) => Err(ArgError::Refused { flag: arg.to_owned(), remedy }),
        Role::Run | Role::Test | Role::Every | Role::Archive | Role::Load | Role::Wish => Ok(()),
    }
}

fn take(user: &mut UserArgs, flag: &Flag, arg: &str, value: &str) -> Result<(), ArgError> {
    refuse(flag, arg)?;
    let whole = || format!("--{}={value}", flag.name);
    match flag.role {
        Role::Run => {
            if flag.name == "features" {
                user.features.push(value.to_owned());
            }
            user.run.push(whole());
        }
        Role::Test => {
            user.run.push(whole());
            user.archive.push(whole());
        }
        Role::Every => {
            user.run.push(whole());
            user.archive.push(whole());
            user.inspect.push(whole());
        }
        Role::Archive => user.archive.push(whole()),
        Role::Load => {
            match flag.name {
                "vus" => user.vus = Some(value.to_owned()),
                "duration" => user.duration = Some(value.to_owned()),
                "iterations" => user.iterations = Some(value.to_owned()),
                _ => user.stages.push(value.to_owned()),
            }
            user.run.push(whole());
            user.archive.push(whole());
        }
        Role::Wish => wish(user, flag, value)?,
        Role::Refused(_) => {}
    }
    Ok(())
}

fn wish(user: &mut UserArgs, flag: &Flag, value: &str) -> Result<(), ArgError> {
    match flag.name {
        "no-setup" => user.no_setup = Some(boolean(flag, value)?),
        "no-teardown" => user.no_teardown = Some(boolean(flag, value)?),
        "no-thresholds" => user.no_thresholds = Some(boolean(flag, value)?),
        "no-summary" => {
            if boolean(flag, value)? {
                user.summary_mode = Some("disabled".to_owned());
            }
        }
        "summary-mode" => user.summary_mode = Some(value.to_owned()),
        "summary-export" => user.summary_export = Some(value.to_owned()),
        "out" => user.outs.push(value.to_owned()),
        _ => match value.split_once('=') {
            Some((name, tag)) if !name.is_empty() && !tag.is_empty() => {
                user.tags.push((name.to_owned(), tag.to_owned()));
            }
            _ => {
                return Err(ArgError::BadValue {
                    flag: "--tag".to_owned(),
                    value: value.to_owned(),
                    wanted: "of the form name=value",
                });
            }
        },
    }
    Ok(())
}

fn boolean(flag: &Flag, value: &str) -> Result<bool, ArgError> {
    parse_bool(value).ok_or_else(|| ArgError::BadValue {
        flag: format!("--{}", flag.name),
        value: value.to_owned(),
        wanted: "true or false",
    })
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
