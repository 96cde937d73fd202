use proptest::prelude::*;

use super::parse;

#[test]
fn all_forms_of_go_are_read() {
    for (text, value) in [
        ("200", 200.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3.0),
        ("+3", 3.0),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("1.e+3", 1000.0),
        ("1_000.5_0", 1000.5),
        ("0x10p0", 16.0),
        ("0X1.8P1", 3.0),
        ("-0x_Fp-1", -7.5),
        ("0x.8p0", 0.5),
        ("0x1p-1074", f64::from_bits(1)),
        ("0x1p-1075", 0.0),
        ("0x1.8p-1075", f64::from_bits(1)),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.000000000000080000001p0", 1.0 + f64::EPSILON),
        ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
        ("inf", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("+INF", f64::INFINITY),
        ("1e-999", 0.0),
    ] {
        assert_eq!(parse(text).map(f64::to_bits), Some(value.to_bits()), "{text}");
    }
    assert!(parse("NaN").is_some_and(f64::is_nan));
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "", "-", ".", "e5", "1e", "1e+", "1.2.3", "1 000", "200ms", "_1", "1_", "1__0", "1_.5",
        "1._5", "0x", "0x1", "0x1.8", "0xp0", "0x1p", "infinit", "+nan", "1e999", "0x1p1024",
        "0b1", "١", "--1", "1f",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn what_rust_prints_is_read_back(value in prop::num::f64::ANY) {
        let read = parse(&format!("{value:e}"));
        prop_assert!(value.is_nan() || read.map(f64::to_bits) == Some(value.to_bits()));
    }

    #[test]
    fn hexadecimal_is_read_to_the_last_bit(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap();
        let mantissa = bits & ((1 << 52) - 1);
        let (mantissa, exponent) =
            if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) };
        let sign = if value.is_sign_negative() { "-" } else { "" };
        let read = parse(&format!("{sign}0x{mantissa:x}p{exponent}"));
        prop_assert_eq!(read.map(f64::to_bits), Some(bits));
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[-+0-9a-fxpinfINF._]{0,12}|\\PC{0,8}") {
        let read = parse(&text);
        prop_assert!(read.is_none() || !text.is_empty());
    }
}
