//! See `outpost_fuzz::handshake`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: outpost_fuzz::handshake::Input| outpost_fuzz::handshake::run(input));
