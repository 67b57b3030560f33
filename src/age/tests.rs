//! Against a file that another implementation wrote, and against ourselves.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

use super::header::header;
use super::*;

const IDENTITY: &str = "AGE-SECRET-KEY-18GV9W0N5XQQQRCL34W2CPE080CH5NV028HQAHVSJRGMJCVVSYA6SL04D8H";
const RECIPIENT: &str = "age1aca5htdua2fye73ty7jjgpclcw6vgrc0n99yp9sqxu8ch3xprufqlve0kv";
/// Made with rage's library (0.11) for another recipient, this one, and one of a kind that does not exist ("grease").
const FILE: [&str; 6] = [
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBFekhzdDltM0I1R2s0L29tZGpSZlRraGhkLzl5RzJvM2xPWVZBOG5WY0c4",
    "CkhBKzdyQUd2Y3E0Y09zcVluMEpacmhIUVBEc01IVEgzVzBUZndjbkIxTlkKLT4gWDI1NTE5IHkzVTZpRW4vY3NGOFJXUkg0SVZx",
    "Wkc0S0twYiswcFVuL0piUU5YdnVwMTgKTlIvMFdVenVTQjNueTdZdWpSbXN4NUNFakw5U1YxZDh2bjdyNVBGM1YxVQotPiA0cjNw",
    "cSpkdC1ncmVhc2UKM3NSdkNqSmJqQlpzOGwwcjJ0djNpTUNOaHZtRkNmdUNtZ0JTaFBYSUFybFQ3MTJRSkkvOU9qaFZSUElkSGZH",
    "ZApBOG8KLS0tIGw4WTBrV2NtSjgwaVFjTmR6WSs4WFgwZEJWYmtoWmREU2tXOUt4TUQ0T00KTVufNtCw5LESNGuJQ3+FZ9eF81i9",
    "zk3GW5Y9oaBppfJlllYVme5N0XoyYT0qwJ/NxWsw",
];

fn seed() -> Seed {
    Seed { file_key: Secret::new([1; 16]), ephemeral: Secret::new([2; 32]), nonce: [3; 16] }
}

fn encrypt(content: &[u8], recipient: &Recipient) -> Vec<u8> {
    let mut writer = Encrypt::new(Vec::new(), recipient, &seed()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn decrypt(file: &[u8], identities: &[Identity]) -> Result<Vec<u8>, AgeError> {
    let mut content = Vec::new();
    let read = Decrypt::new(file, identities).and_then(|mut reader| reader.read_to_end(&mut content));
    match read {
        Ok(_) => Ok(content),
        Err(error) => Err(error.into_inner().unwrap().downcast_ref::<AgeError>().unwrap().clone()),
    }
}

#[test]
fn a_file_of_another_implementation_opens_with_its_identity_only() {
    let file = STANDARD.decode(FILE.concat()).unwrap();
    let identity: Identity = IDENTITY.parse().unwrap();
    assert_eq!(identity.recipient().to_string(), RECIPIENT);
    assert_eq!(identity.to_text().expose(), IDENTITY);
    assert_eq!(decrypt(&file, &[Identity::new([9; 32]), identity]).unwrap(), b"a line for the hub\n");
    assert_eq!(decrypt(&file, &[Identity::new([9; 32])]), Err(AgeError::NoMatch(3)));
}

#[test]
fn content_of_every_length_around_a_chunk_survives() {
    let identity = Identity::new([7; 32]);
    for length in [0, 1, 65535, 65536, 65537, 131_072, 200_000] {
        let content: Vec<u8> = (0..length).map(|at: usize| (at % 251).try_into().unwrap()).collect();
        let file = encrypt(&content, &identity.recipient());
        assert!(decrypt(&file, std::slice::from_ref(&identity)).unwrap() == content, "{length}");
    }
}

#[test]
fn every_cut_and_every_flipped_byte_is_found() {
    let identity = Identity::new([7; 32]);
    let file = encrypt(b"a short text", &identity.recipient());
    for end in 0..file.len() {
        assert!(decrypt(&file[..end], std::slice::from_ref(&identity)).is_err(), "cut at {end}");
    }
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(decrypt(&flipped, std::slice::from_ref(&identity)).is_err(), "byte {at}");
    }
    // Cut between two chunks.
    let long = encrypt(&[5; 150_000], &identity.recipient());
    let begin = header(&[1; 16], &identity.recipient(), &Secret::new([2; 32])).len() + 16;
    let cut = decrypt(&long[..begin + 65_552], std::slice::from_ref(&identity));
    assert_eq!(cut, Err(AgeError::Chunk(0)));
    let swapped =
        [&long[..begin], &long[begin + 65_552..begin + 2 * 65_552], &long[begin..begin + 65_552]].concat();
    assert_eq!(decrypt(&swapped, &[identity]), Err(AgeError::Chunk(0)));
}

#[test]
fn texts_that_are_no_keys_are_refused_and_a_secret_is_not_shown() {
    for wrong in
        ["", "age1", &RECIPIENT[..61], &RECIPIENT.to_uppercase(), IDENTITY, &RECIPIENT.replace('c', "d")]
    {
        assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
    }
    // A point of low order.
    let zero = Recipient(x25519_dalek::PublicKey::from([0; 32])).to_string();
    assert!(zero.parse::<Recipient>().is_err());
    let error = IDENTITY.to_lowercase().parse::<Identity>().unwrap_err();
    assert!(!error.to_string().contains("8gv9w0"), "{error}");
    assert!(!format!("{:?}", IDENTITY.parse::<Identity>().unwrap()).contains("8GV9W0"));
    let file = format!("# created: today\n# public key: {RECIPIENT}\n\n{IDENTITY}\n");
    assert_eq!(identities(&file).unwrap().len(), 1);
    assert!(identities("# nothing\n").is_err());
    assert!(identities(&format!("{IDENTITY}\nnonsense\n")).is_err());
}
