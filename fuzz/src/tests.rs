//! What is kept in `corpus/` passes, with a stable compiler and without a sanitizer.

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};

fn each(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        run(&std::fs::read(&path).expect("a file"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

/// As libfuzzer's macro makes structured input.
fn input<'a, T: Arbitrary<'a>>(bytes: &'a [u8], run: impl Fn(T)) {
    if let Ok(input) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
        run(input);
    }
}

#[test]
fn what_is_kept_for_each_target_passes() {
    each("frame", crate::frame::run);
    each("handshake", |bytes| input(bytes, crate::handshake::run));
    each("session", |bytes| input(bytes, crate::session::run));
    each("block", crate::block::run);
    each("bundle", |bytes| input(bytes, crate::bundle::run));
    each("browser_token", crate::browser_token::run);
}
