#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("answers"), |bytes: &[u8]| weir_fuzz::answers::check(bytes));
