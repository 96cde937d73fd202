use proptest::prelude::*;

use super::*;

fn line(metric: &str, time: &str, value: &str, tags: &str) -> String {
    format!(
        r#"{{"metric":"{metric}","type":"Point","data":{{"time":"{time}","value":{value},"tags":{tags}}}}}"#
    )
}

/// What is read of a line, and whether by its bytes.
fn read(lines: &mut Lines<u32>, line: &str) -> (Option<Line<'static>>, bool) {
    match lines.read(line.as_bytes(), &[]) {
        Ok(Read::Known(known)) => {
            known.memo += 1;
            (Some(Line::Point(known.point.clone())), known.memo > 1)
        }
        Ok(Read::Line(Line::Point(point))) => (Some(Line::Point(owned(&point))), false),
        Ok(Read::Line(Line::Metric(_))) | Err(_) => (None, false),
    }
}

fn slow(line: &str) -> Option<Line<'static>> {
    match decode(line.as_bytes()) {
        Ok(Line::Point(point)) => Some(Line::Point(owned(&point))),
        _ => None,
    }
}

const T: &str = "2026-11-22T07:28:28.250116571Z";

#[test]
fn a_series_is_known_by_its_bytes_from_the_third_line_on() {
    let mut lines = Lines::default();
    let of =
        |n: u32| line("m", &format!("2026-11-22T07:28:{n}Z"), &format!("{n}.5"), r#"{"a":"1"}"#);
    let ways: Vec<bool> = (10..14)
        .map(|n| {
            let (found, known) = read(&mut lines, &of(n));
            assert_eq!(found, slow(&of(n)));
            known
        })
        .collect();
    assert_eq!(ways, [false, false, true, true]);
    assert!(!read(&mut lines, &line("m", T, "1", r#"{"a":"2"}"#)).1, "another series");
    assert!(!read(&mut lines, &line("n", T, "1", r#"{"a":"1"}"#)).1, "another metric");
}

#[test]
fn tags_are_added_where_k6_would_have_written_them() {
    let added = [("b".to_owned(), "2".to_owned()), ("d".to_owned(), "4".to_owned())];
    for (tags, whole) in [
        ("{}", r#"{"b":"2","d":"4"}"#),
        (r#"{"a":"1","c":"3","e":"5"}"#, r#"{"a":"1","b":"2","c":"3","d":"4","e":"5"}"#),
        (r#"{"b":"own","d":""}"#, r#"{"b":"own","d":""}"#),
        (r#"{"z":"6","b":"own"}"#, r#"{"d":"4","z":"6","b":"own"}"#),
    ] {
        let mut lines = Lines::<u32>::default();
        for n in 0..4 {
            let (line, whole) = (line("m", T, "1", tags), line("m", T, "1", whole));
            let point = match lines.read(line.as_bytes(), &added).unwrap() {
                Read::Known(known) => known.point.clone(),
                Read::Line(Line::Point(point)) => owned(&point),
                Read::Line(Line::Metric(_)) => unreachable!("it is a sample"),
            };
            assert_eq!(Some(Line::Point(point)), slow(&whole), "time {n}");
        }
    }
}

#[test]
fn what_is_no_number_or_no_time_is_an_error_of_a_known_series_as_well() {
    let mut lines = Lines::default();
    for _ in 0..3 {
        read(&mut lines, &line("m", T, "1", "{}"));
    }
    assert!(read(&mut lines, &line("m", T, "-0.5e-3", "{}")).1);
    for value in ["01", "1.", ".5", "+1", "inf", "NaN", "1e", "--1", "", "1e999", "0x1", "1 1"] {
        let bad = line("m", T, value, "{}");
        assert_eq!(read(&mut lines, &bad), (None, false), "{value}");
        assert_eq!(slow(&bad), None, "{value}");
    }
    for time in ["", "2026-11-22", "x", r"2026-11-22T07:28:28\u005a", "2026-11-22T07:28:28.Z"] {
        assert_eq!(
            read(&mut lines, &line("m", time, "1", "{}")).0,
            slow(&line("m", time, "1", "{}")),
            "{time}"
        );
    }
}

#[test]
fn more_series_than_there_is_room_for_are_read_all_the_same() {
    let mut lines = Lines::default();
    for round in 0..3 {
        for n in 0..SLOTS * 3 {
            let text = line("m", T, &format!("{round}"), &format!(r#"{{"n":"{n}"}}"#));
            assert_eq!(read(&mut lines, &text).0, slow(&text));
        }
    }
    assert_eq!(lines.slots.len(), SLOTS);
}

fn a_line() -> impl Strategy<Value = String> {
    let metric = prop_oneof![Just("m"), Just("n"), Just(r#"a\"b"#), Just("")];
    let time = prop_oneof![
        Just(T.to_owned()),
        Just("2026-11-22T07:28:28.25+01:00".to_owned()),
        Just("2026-11-22T07:28:28-00:30".to_owned()),
        "2026-11-22T0[0-9]:[0-6][0-9]:2[0-9](\\.[0-9]{1,9})?(Z|\\+01:00)",
        "[0-9TZ:.]{0,12}",
    ];
    let value = prop_oneof![
        any::<f64>().prop_map(|value| format!("{value}")),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        any::<i64>().prop_map(|value| format!("{value}")),
        "-?[0-9]{1,22}(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
        "[0-9eE.+-]{0,6}",
    ];
    let tags = prop_oneof![
        Just("{}"),
        Just("null"),
        Just(r#"{"a":"1","b":"x,y}"}"#),
        Just(r#"{"a":"\u0041"}"#),
        Just(r#"{"a":"1"},"metadata":{"vu":"1"}"#),
        Just(r#"{"a":1}"#),
        Just(r#"{"a":"1"},"value":2"#),
    ];
    (metric, time, value, tags).prop_map(|(m, t, v, g)| line(m, &t, &v, g))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whichever_way_a_line_is_read_it_says_the_same(texts in prop::collection::vec(a_line(), 1..200)) {
        let mut lines = Lines::default();
        for text in texts.iter().chain(&texts).chain(&texts) {
            let (found, _) = read(&mut lines, text);
            let wanted = slow(text);
            prop_assert_eq!(&found, &wanted, "{}", text);
            if let (Some(Line::Point(found)), Some(Line::Point(wanted))) = (found, wanted) {
                prop_assert_eq!(found.value.to_bits(), wanted.value.to_bits(), "{}", text);
            }
        }
    }

    #[test]
    fn a_line_with_a_changed_byte_says_what_it_says_as_json(
        at in 0..200_usize, byte in any::<u8>(), text in a_line(),
    ) {
        let mut lines = Lines::<u32>::default();
        for _ in 0..3 {
            read(&mut lines, &text);
        }
        let mut changed = text.into_bytes();
        let at = at % changed.len();
        changed[at] = byte;
        let found = lines.read(&changed, &[]).ok().map(|read| match read {
            Read::Known(known) => Line::Point(known.point.clone()),
            Read::Line(line) => line,
        });
        prop_assert_eq!(found, decode(&changed).ok());
    }
}
