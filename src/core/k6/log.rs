//! What k6 writes to its standard error, and the error in it that a person must see.

use serde::Deserialize;

/// Longest error text that is passed on, in bytes.
const ERROR_BYTES_MAX: usize = 1024;

/// The last error in k6's log; the last lines where no line is marked as an error. None when there is no text.
pub fn last_error(log: &str) -> Option<String> {
    let clean = strip_ansi(log);
    let errors = clean.lines().filter_map(error_of).collect::<Vec<_>>();
    let text = match errors.last() {
        Some(text) => text.clone(),
        None => last_lines(&clean),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| shorten(text))
}

/// The message of one line, if the line is an error.
fn error_of(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Entry {
        level: String,
        msg: String,
    }
    if line.starts_with('{') {
        let entry: Entry = serde_json::from_str(line).ok()?;
        return matches!(entry.level.as_str(), "error" | "fatal" | "panic").then_some(entry.msg);
    }
    if line.contains("level=error") || line.contains("level=fatal") {
        let (_, message) = line.split_once("msg=")?;
        return Some(unquote(message));
    }
    // The format for terminals: `ERRO[0001] text`.
    let (_, message) = line.strip_prefix("ERRO[")?.split_once(']')?;
    Some(message.trim().to_owned())
}

/// The value at the head of `text`: a Go string in quotes, or a word.
fn unquote(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.split_whitespace().next().unwrap_or_default().to_owned();
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(other) => value.push(other),
                None => break,
            },
            c => value.push(c),
        }
    }
    value
}

fn last_lines(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("\n")
}

/// Without the escape sequences of terminals.
fn strip_ansi(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            clean.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            for c in chars.by_ref() {
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
    }
    clean
}

/// On one line, and of bounded length.
pub fn shorten(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.len() <= ERROR_BYTES_MAX {
        return words;
    }
    let end = (0..=ERROR_BYTES_MAX).rev().find(|at| words.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", words.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_error_of_a_log_is_found_in_each_format() {
        let text = "time=\"t\" level=info msg=\"hello\"\n\
            time=\"t\" level=error msg=\"Error: \\\"boom\\\"\\n\\tat file:///a.js:1:7(12)\\n\" hint=\"script exception\"\n\
            time=\"t\" level=info msg=bye\n";
        assert_eq!(last_error(text).unwrap(), "Error: \"boom\" at file:///a.js:1:7(12)");
        let json = "{\"level\":\"error\",\"msg\":\"bad\",\"time\":\"t\"}\n{\"level\":\"info\",\"msg\":\"x\"}";
        assert_eq!(last_error(json).unwrap(), "bad");
        assert_eq!(last_error("\u{1b}[31mERRO\u{1b}[0m[0001] it broke\n").unwrap(), "it broke");
    }

    #[test]
    fn without_a_marked_error_the_last_lines_stand_for_it() {
        assert_eq!(last_error("one\n\ntwo\n").unwrap(), "one two");
        assert_eq!(last_error(" \n"), None);
    }

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        let cut = last_error(&"é".repeat(2000)).unwrap();
        assert!(cut.len() <= ERROR_BYTES_MAX + 3 && cut.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_log_is_read_without_panic(log in "(\\PC|\n|\u{1b}|\"|\\\\|level=error msg=){0,60}") {
            drop(last_error(&log));
        }
    }
}
