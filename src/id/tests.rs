//! Ids and their text forms.

use super::*;

#[test]
fn ids_survive_their_text_form() {
    let record: RecordId = "logs/00000001deadbeef/42".parse().unwrap();
    assert_eq!(record.to_string(), "logs/00000001deadbeef/42");
    let agent = AgentId::from_bytes([0xab; 16]);
    assert_eq!(agent.to_string().parse::<AgentId>().unwrap(), agent);
}

#[test]
fn job_ids_are_uuids_in_one_text_form() {
    let id = JobId::from_time(0x0193_8c5e_7b1a, [0xff; 10]);
    assert_eq!(id.to_string(), "01938c5e-7b1a-7fff-bfff-ffffffffffff");
    assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
    assert!(JobId::from_time(0x0193_8c5e_7b1b, [0; 10]) > id);
    for wrong in ["", "01938c5e7b1a7fffbfffffffffffffff", "01938C5E-7B1A-7FFF-BFFF-FFFFFFFFFFFF", "nope"] {
        assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
    }
}

#[test]
fn wrong_texts_are_refused_by_name() {
    for text in ["", "logs", "logs/1/2", "logs/00000001deadbeef/2/3", "x/00000001deadbeef/2"] {
        assert!(text.parse::<RecordId>().is_err(), "{text}");
    }
    assert!("ABCDEF00000000000000000000000000".parse::<AgentId>().is_err());
    assert!("-edge".parse::<AgentName>().is_err());
    assert!("Edge".parse::<AgentName>().is_err());
    assert!("".parse::<KeyId>().is_err());
    let error = "nope".parse::<Lane>().unwrap_err();
    assert_eq!(error.to_string(), "`nope` is not a lane (control, events or logs)");
}

#[test]
fn epochs_count_up_and_end_with_an_answer() {
    let first = Epoch::after(None, 7).unwrap();
    assert_eq!(first.as_u64(), 1 << 32 | 7);
    assert_eq!(Epoch::after(Some(first), 9).unwrap().as_u64(), 2 << 32 | 9);
    assert_eq!(Epoch::after(Some(Epoch::from_u64(u64::MAX)), 0), None);
}
