use proptest::prelude::*;

use super::*;

fn answer(status: u16, body: &str) -> Answer<'_> {
    Answer { status, retry_after: None, location: None, body: body.as_bytes() }
}

fn written(status: u16, body: &str, lines: usize) -> Written {
    of_answer(answer(status, body), lines, "bucket b", 0)
}

#[track_caller]
fn is_fatal(written: Written, words: &[&str]) {
    let Written::Fatal(text) = written else { panic!("{written:?}") };
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[test]
fn only_a_success_without_words_is_stored() {
    assert_eq!(written(204, "", 3), Written::Stored);
    assert_eq!(written(200, "", 3), Written::Stored);
    is_fatal(written(200, "<html>log in</html>", 3), &["no answer of InfluxDB's", "log in"]);
    is_fatal(written(202, "", 3), &["HTTP 202"]);
}

#[test]
fn a_call_that_version_2_cannot_read_is_cut_in_halves_down_to_the_line() {
    let body = r#"{"code":"invalid","message":"unable to parse 'm value=x': invalid number"}"#;
    let text = "HTTP 400: unable to parse 'm value=x': invalid number";
    assert_eq!(written(400, body, 100), Written::Invalid(text.to_owned()));
    assert_eq!(written(400, body, 1), Written::Partly(vec![(0, Refusal::Invalid)]));
}

#[test]
fn lines_that_version_2_drops_are_found_or_are_all() {
    let body = |dropped: usize| {
        format!(
            r#"{{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped={dropped}"}}"#
        )
    };
    assert!(matches!(written(422, &body(2), 3), Written::Invalid(_)));
    let all = (0..3).map(|at| (at, Refusal::TooOld)).collect();
    assert_eq!(written(422, &body(3), 3), Written::Partly(all));
    assert_eq!(written(422, &body(1), 1), Written::Partly(vec![(0, Refusal::TooOld)]));
}

#[test]
fn lines_that_version_3_names_are_refused_and_all_others_stored() {
    let body = |numbers: [usize; 2]| {
        let lines = numbers.map(|number| {
            format!(r#"{{"original_line":"m,a=b value=1","line_number":{number},"error_message":"invalid column type for column 'value'"}}"#)
        });
        format!(
            r#"{{"error":"partial write of line protocol occurred","data":[{}]}}"#,
            lines.join(",")
        )
    };
    let two = vec![(0, Refusal::Invalid), (4, Refusal::Invalid)];
    assert_eq!(written(400, &body([1, 5]), 5), Written::Partly(two.clone()));
    assert_eq!(written(422, &body([1, 5]), 5), Written::Partly(two));
    for numbers in [[0, 1], [1, 6]] {
        assert!(matches!(written(400, &body(numbers), 5), Written::Invalid(_)), "{numbers:?}");
    }
    let Written::Invalid(text) = written(400, &body([2, 9]), 5) else { panic!() };
    assert!(text.ends_with("occurred: line 2: invalid column type for column 'value'"), "{text}");
}

#[test]
fn a_whole_refusal_by_version_3_is_cut_in_halves() {
    let body = r#"{"error":"line protocol parsing error","data":{"original_line":"m","line_number":1,"error_message":"no fields"}}"#;
    assert!(matches!(written(400, body, 5), Written::Invalid(_)));
    let empty = r#"{"error":"partial write of line protocol occurred","data":[]}"#;
    assert!(matches!(written(400, empty, 5), Written::Invalid(_)));
}

#[test]
fn a_call_that_is_too_large_is_cut_in_halves() {
    assert!(matches!(written(413, "", 2), Written::Invalid(_)));
    assert_eq!(written(413, "", 1), Written::Partly(vec![(0, Refusal::TooLarge)]));
}

#[test]
fn what_passes_is_tried_again() {
    for (status, failure) in [
        (408, Failure::Timeout),
        (425, Failure::Connection),
        (429, Failure::Throttled),
        (499, Failure::Connection),
        (500, Failure::Server),
        (502, Failure::Server),
        (503, Failure::Server),
        (504, Failure::Server),
    ] {
        let text = format!("HTTP {status}: later");
        assert_eq!(written(status, "later\n", 2), Written::Failed(failure, text));
    }
}

#[test]
fn the_time_that_the_server_asks_for_is_kept_within_bounds() {
    for status in [429, 503] {
        let answer = Answer { retry_after: Some("2"), ..answer(status, "") };
        let Written::Failed(failure, _) = of_answer(answer, 1, "bucket b", 0) else { panic!() };
        assert_eq!(failure, Failure::ThrottledFor(2000));
    }
    let now_ms = 784_111_777_000;
    assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:42 GMT", now_ms), Some(5000));
    assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:00 GMT", now_ms), Some(0));
    assert_eq!(retry_after_ms("86400", now_ms), Some(30_000));
    for text in ["", "-1", "soon", "1.5"] {
        assert_eq!(retry_after_ms(text, now_ms), None, "{text:?}");
    }
}

#[test]
fn what_no_later_call_gets_better_is_fatal_with_a_remedy() {
    let said = r#"{"code":"unauthorized","message":"unauthorized access"}"#;
    is_fatal(written(401, said, 2), &["tokenSecret", "bucket b", "unauthorized access"]);
    is_fatal(written(403, "", 2), &["tokenSecret", "may write"]);
    is_fatal(written(404, "", 2), &["bucket b", "create it"]);
    is_fatal(written(405, "", 2), &["url and api"]);
    let moved = Answer { location: Some("https://other/"), ..answer(307, "") };
    is_fatal(of_answer(moved, 2, "bucket b", 0), &["https://other/", "influxdb.url"]);
}

#[test]
fn any_body_is_read_without_harm_and_shown_on_one_line() {
    for body in ["", "\u{1b}[31mred\n", "{", "[]", "null", "{\"message\": 5}", "{\"data\":[1]}"] {
        let Written::Failed(_, text) = written(500, body, 2) else { panic!() };
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    let Written::Failed(_, text) = written(500, &"x".repeat(1 << 20), 2) else { panic!() };
    assert!(text.len() < 500);
}

/// A body as a server could send it, some of its bytes changed.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let partial = r#"{"error":"partial write of line protocol occurred","data":[{"original_line":"m","line_number":2,"error_message":"bad"},{"original_line":"m","line_number":18446744073709551615,"error_message":""}]}"#;
    let dropped = r#"{"code":"unprocessable entity","message":"partial write: dropped=3"}"#;
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let damaged =
        (prop::sample::select(vec![partial, dropped]), changes).prop_map(|(text, changes)| {
            let mut bytes = text.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
    prop_oneof![damaged, prop::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_does_harm_and_none_but_a_success_counts_as_one(
        status in 100_u16..1000,
        retry_after in prop::option::of(any::<String>()),
        body in hostile(),
        lines in 1_usize..6,
        now_unix_ms in any::<i64>(),
    ) {
        let answer =
            Answer { status, retry_after: retry_after.as_deref(), location: None, body: &body };
        match of_answer(answer, lines, "bucket b", now_unix_ms) {
            Written::Stored => prop_assert!(status == 204 || (status == 200 && body.is_empty())),
            Written::Partly(refused) => {
                prop_assert!([400, 413, 422].contains(&status));
                prop_assert!(!refused.is_empty() && refused.iter().all(|(at, _)| *at < lines));
            }
            Written::Invalid(said) | Written::Failed(_, said) | Written::Fatal(said) => {
                prop_assert!(said.contains(&status.to_string()), "{said}");
            }
        }
    }
}
