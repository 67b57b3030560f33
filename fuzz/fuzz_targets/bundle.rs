//! See `outpost_fuzz::bundle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: outpost_fuzz::bundle::Input| outpost_fuzz::bundle::run(input));
