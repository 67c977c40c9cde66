//! What sealing promises.

use proptest::prelude::*;

use super::*;

const PLACE: &[u8] = b"lead 3";
/// Begins with a version, as records do.
const PLAIN: &[u8] = b"\x01{\"phone\":\"13812345678\"}";

fn ring(keys: &[&OutboxKey]) -> Keyring {
    let keys: Vec<OutboxKey> = keys.iter().map(|key| (*key).clone()).collect();
    Keyring::new(&keys)
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened(place: Vec<u8>, plain in proptest::collection::vec(any::<u8>(), 0..600)) {
        let ring = ring(&[&OutboxKey::generate()]);
        for sealed in [ring.seal(&place, &plain), ring.seal_vec(&place, plain.clone())] {
            prop_assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            prop_assert_eq!(&*ring.open(&place, &sealed).expect("opens"), &plain);
        }
    }

    #[test]
    fn no_bytes_make_opening_panic(place: Vec<u8>, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let ring = ring(&[&OutboxKey::generate()]);
        let _ = ring.open(&place, &bytes);
        ring.is_current(&bytes);
        let mut sealed = bytes;
        sealed.insert(0, SEALED);
        prop_assert!(ring.open(&place, &sealed).is_err());
    }
}

#[test]
fn a_tail_is_sealed_where_it_lies() {
    let keyed = ring(&[&OutboxKey::generate()]);
    for ring in [Keyring::default(), keyed] {
        let mut bytes = b"before".to_vec();
        bytes.extend_from_slice(PLAIN);
        ring.seal_tail(PLACE, &mut bytes, 6);
        assert_eq!(&bytes[..6], b"before");
        assert_eq!(&*ring.open(PLACE, &bytes[6..]).expect("opens"), PLAIN);
        assert!(ring.is_current(&bytes[6..]));
    }
}

#[test]
fn without_a_key_records_stay_as_they_are() {
    let none = Keyring::default();
    assert_eq!(none.seal(PLACE, PLAIN), PLAIN);
    assert_eq!(none.seal_vec(PLACE, PLAIN.to_vec()), PLAIN);
    assert!(matches!(none.open(PLACE, PLAIN), Ok(Cow::Borrowed(PLAIN))));
    assert!(none.is_current(PLAIN));
    assert_eq!((none.current(), key_of(PLAIN)), (None, None));
}

#[test]
fn plain_records_are_read_after_a_key_was_added() {
    let ring = ring(&[&OutboxKey::generate()]);
    assert!(matches!(ring.open(PLACE, PLAIN), Ok(Cow::Borrowed(PLAIN))));
    assert!(!ring.is_current(PLAIN));
}

#[test]
fn nothing_of_the_record_is_seen_and_no_two_are_alike() {
    let ring = ring(&[&OutboxKey::generate()]);
    let sealed = ring.seal(PLACE, PLAIN);
    assert!(
        !sealed
            .windows(4)
            .any(|seen| PLAIN.windows(4).any(|part| part == seen))
    );
    assert_ne!(sealed, ring.seal(PLACE, PLAIN));
}

#[test]
fn a_changed_or_shortened_record_is_not_opened() {
    let ring = ring(&[&OutboxKey::generate(), &OutboxKey::generate()]);
    let sealed = ring.seal(PLACE, PLAIN);
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            // Without its mark it is bytes like any other, but still not the record.
            let opened = ring.open(PLACE, &changed);
            assert!(opened.is_err() || (at == 0 && opened == Ok(Cow::Borrowed(&changed))));
        }
        // From the mark on, a part is not the whole.
        assert!(at == 0 || ring.open(PLACE, &sealed[..at]).is_err(), "{at}");
    }
}

#[test]
fn a_record_is_not_opened_at_another_place() {
    let ring = ring(&[&OutboxKey::generate()]);
    let sealed = ring.seal(PLACE, PLAIN);
    assert_eq!(ring.open(b"lead 4", &sealed), Err(SealError::Damaged));
}

#[test]
fn a_record_of_another_key_says_which() {
    let theirs = OutboxKey::generate();
    let sealed = ring(&[&theirs]).seal(PLACE, PLAIN);
    for ours in [Keyring::default(), ring(&[&OutboxKey::generate()])] {
        assert_eq!(
            ours.open(PLACE, &sealed),
            Err(SealError::UnknownKey(theirs.id()))
        );
        assert!(!ours.is_current(&sealed));
    }
    assert_eq!(
        SealError::UnknownKey(theirs.id()).to_string(),
        format!(
            "encrypted with key {}, which is not configured; add it to outbox.key",
            theirs.id()
        )
    );
}

#[test]
fn a_rotated_key_opens_and_the_new_one_seals() {
    let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
    let before = ring(&[&old]).seal(PLACE, PLAIN);
    let ring = ring(&[&new, &old]);
    assert_eq!(ring.open(PLACE, &before).expect("opens"), PLAIN);
    assert!(!ring.is_current(&before));
    let after = ring.seal(PLACE, PLAIN);
    assert_eq!(
        (key_of(&before), key_of(&after)),
        (Some(old.id()), Some(new.id()))
    );
    assert!(ring.is_current(&after));
}

#[test]
fn debug_prints_ids_only() {
    let key = OutboxKey::parse(&"11".repeat(32)).expect("a key");
    assert_eq!(format!("{:?}", ring(&[&key])), format!("[{:?}]", key.id()));
}
