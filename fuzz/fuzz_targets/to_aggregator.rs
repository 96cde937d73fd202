#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_fuzz::seeds::write("to_aggregator"), |bytes: &[u8]| weir_fuzz::messages::to_aggregator(bytes));
