#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("to_agent"), |bytes: &[u8]| weir_fuzz::messages::to_agent(bytes));
