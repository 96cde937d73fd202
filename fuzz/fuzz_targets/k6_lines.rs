#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("k6_lines"), |bytes: &[u8]| weir_fuzz::k6_lines::check(bytes));
