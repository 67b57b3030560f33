//! Text that no codec makes smaller, from a seed.

/// `bytes` bytes of random lines of `line` bytes each, line ends included.
pub(crate) fn lines(seed: u64, bytes: usize, line: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text: Vec<u8> = (0..bytes).map(|_| random.u8(..)).collect();
    for byte in &mut text {
        // A line end inside would cut a line, a zero or a carriage return is nobody's text.
        if matches!(*byte, 0 | b'\n' | b'\r') {
            *byte = b'.';
        }
    }
    for end in text.chunks_mut(line) {
        if let Some(last) = end.last_mut() {
            *last = b'\n';
        }
    }
    text
}

/// Numbered lines as a program would write them, `bytes` or a little more.
pub(crate) fn log(bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut number = 0_u32;
    while text.len() < bytes {
        number += 1;
        let line =
            format!("{number:06} sensor {} reads {} hPa, {} C\n", number % 7, 900 + number % 99, number % 31);
        text.extend(line.into_bytes());
    }
    text
}
