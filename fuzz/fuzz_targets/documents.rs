#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("documents"), |bytes: &[u8]| weir_fuzz::documents::check(bytes));
