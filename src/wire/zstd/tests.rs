//! What goes in comes out, and nothing else does.

use proptest::prelude::*;

use super::*;

const MOST: usize = limit::MESSAGE_BYTES_MAX;

fn text(lines: u32) -> Vec<u8> {
    (0..lines).flat_map(|number| format!("line {number} of a log\n").into_bytes()).collect()
}

fn refusal(frame: &[u8], raw_len: usize) -> String {
    let error = decompress(frame, raw_len, MOST).unwrap_err();
    assert_eq!(error.code, ErrorCode::BadCompression);
    error.detail
}

#[test]
fn a_log_becomes_smaller_and_comes_back() {
    let batch = text(400);
    let frame = compress(&batch).unwrap();
    assert!(frame.len() * 2 < batch.len(), "{} of {}", frame.len(), batch.len());
    assert_eq!(decompress(&frame, batch.len(), batch.len()).unwrap(), batch, "exactly the limit passes");
}

#[test]
fn what_does_not_become_smaller_stays_as_it_is() {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..32_768).map(|_| random.u8(..)).collect();
    assert_eq!(compress(&noise), None);
}

#[test]
fn another_length_than_the_message_says_is_refused() {
    let batch = text(100);
    let frame = compress(&batch).unwrap();
    for raw_len in [0, 1, batch.len() - 1, batch.len() + 1, MOST] {
        assert!(refusal(&frame, raw_len).contains("the message says"), "{raw_len}");
    }
    assert!(refusal(&frame, MOST + 1).contains("the limit of messages is"));
}

#[test]
fn a_frame_that_does_not_say_its_length_has_to_have_the_one_that_the_message_says() {
    let batch = text(100);
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
    let mut frame = vec![0; zstd_safe::compress_bound(batch.len())];
    let length = context.compress2(frame.as_mut_slice(), &batch).unwrap();
    frame.truncate(length);
    assert_eq!(decompress(&frame, batch.len(), MOST).unwrap(), batch);
    let expected = format!("the batch has {} bytes, the message says {}", batch.len(), batch.len() + 1);
    assert_eq!(refusal(&frame, batch.len() + 1), expected);
    assert!(refusal(&frame, batch.len() - 1).contains("has more than the"));
}

#[test]
fn the_limit_of_messages_that_is_in_force_is_held() {
    let batch = text(100);
    let frame = compress(&batch).unwrap();
    let error = decompress(&frame, batch.len(), batch.len() - 1).unwrap_err();
    let expected = format!("a batch of {} bytes, the limit of messages is {}", batch.len(), batch.len() - 1);
    assert_eq!((error.code, error.detail), (ErrorCode::BadCompression, expected));
}

#[test]
fn a_bomb_is_refused_for_what_it_says_and_one_that_says_nothing_for_what_it_holds() {
    let zeros = vec![0; 64 * 1024 * 1024];
    let mut bomb = vec![0; 1 << 16];
    let length = zstd_safe::compress(bomb.as_mut_slice(), &zeros, 19).unwrap();
    bomb.truncate(length);
    assert!(bomb.len() < 16 * 1024, "{}", bomb.len());
    assert!(refusal(&bomb, MOST).contains("window"), "its window is too large");
    // 2 MiB and one byte, written without the size in front and with the greatest window that passes.
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
    context.set_parameter(zstd_safe::CParameter::WindowLog(u32::from(limit::ZSTD_WINDOW_LOG_MAX))).unwrap();
    let mut bomb = vec![0; 1 << 16];
    let length = context.compress2(bomb.as_mut_slice(), &zeros[..=MOST]).unwrap();
    bomb.truncate(length);
    assert!(refusal(&bomb, MOST).contains("has more than the"), "it stops where its memory ends");
}

#[test]
fn a_window_above_the_limit_is_refused_before_anything_is_decoded() {
    let batch = text(400_000);
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
    context
        .set_parameter(zstd_safe::CParameter::WindowLog(u32::from(limit::ZSTD_WINDOW_LOG_MAX) + 1))
        .unwrap();
    let mut frame = vec![0; zstd_safe::compress_bound(batch.len())];
    let length = context.compress2(frame.as_mut_slice(), &batch).unwrap();
    frame.truncate(length);
    assert!(refusal(&frame, 1_000_000).contains("window"));
}

#[test]
fn what_follows_a_frame_and_what_is_missing_of_one_is_refused() {
    let batch = text(100);
    let frame = compress(&batch).unwrap();
    assert!(refusal(&[&frame[..], b"x"].concat(), batch.len()).contains("1 bytes follow"));
    assert!(refusal(&[&frame[..], &frame[..]].concat(), batch.len()).contains("follow"));
    for end in 0..frame.len() {
        refusal(&frame[..end], batch.len());
    }
    // A frame that decoders skip, and one of the format before this one.
    refusal(&[0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7], 0);
    refusal(&[0x27, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0], 0);
}

proptest! {
    #[test]
    fn bytes_that_are_changed_never_panic_and_never_take_more_than_they_say(
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        lines in 1u32..200,
    ) {
        let batch = text(lines);
        let mut frame = vec![0; zstd_safe::compress_bound(batch.len())];
        let length = zstd_safe::compress(frame.as_mut_slice(), &batch, LEVEL).unwrap();
        frame.truncate(length);
        let at = at.index(frame.len());
        frame[at] ^= flip;
        if let Ok(decoded) = decompress(&frame, batch.len(), MOST) {
            prop_assert_eq!(decoded.len(), batch.len());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), raw_len in 0usize..5000) {
        let framed = [&MAGIC[..], &bytes].concat();
        let _either = decompress(&bytes, raw_len, MOST);
        let _either = decompress(&framed, raw_len, MOST);
    }
}
