#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("frames"), |bytes: &[u8]| weir_fuzz::frames::check(bytes));
