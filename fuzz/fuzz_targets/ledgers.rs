#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("ledgers"), |bytes: &[u8]| weir_fuzz::ledgers::check(bytes));
