#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("spool"), |bytes: &[u8]| weir_fuzz::spool::check(bytes));
