//! A hub whose key file is not what it was: it does not start, and says what to do.

use std::os::unix::fs::PermissionsExt as _;

use crate::world::World;

#[test]
fn a_hub_without_its_own_key_file_does_not_start() {
    let mut world = World::new();
    world.start_hub().terminate();
    let (key, kept) = (world.path("hub/hub.key"), world.path("hub.key.kept"));
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::rename(&key, &kept).unwrap();
    let refused = |exit: i32, reason: &str| {
        for command in ["hub run --data hub --listen 127.0.0.1:0", "hub agent list --data hub"] {
            let (found, said) = world.fail(command);
            assert!(said.contains(reason) && said.contains("hub.key"), "{said}");
            assert_eq!(found, exit, "{said}");
        }
    };
    let write = |bytes: &[u8]| {
        std::fs::write(&key, bytes).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    refused(73, "which is missing; restore it from the backup");
    assert!(!key.exists(), "none is made in its place");
    write(&[7; 32]);
    refused(73, "was not made for this database");
    for length in [0, 31, 33] {
        write(&vec![7; length]);
        refused(73, "is damaged (it must be 32 bytes)");
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    refused(73, "others than its owner");
    std::fs::remove_file(&key).unwrap();
    // Not even root reads a folder as a file.
    std::fs::create_dir(&key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o700)).unwrap();
    refused(74, "Is a directory");
    std::fs::remove_dir(&key).unwrap();
    std::fs::rename(&kept, &key).unwrap();
    world.start_hub().terminate();
}
