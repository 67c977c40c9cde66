//! Records: how leads, identities and deliveries are written as bytes.
//!
//! A record is one version byte, then postcard. A change of a record's fields is a new
//! version with its own struct; older versions stay readable. An unknown version is an
//! error that names it, never a guess.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::index::Tag;
use super::key;
use super::vault::Vault;
use crate::clock::Millis;
use crate::lang::Text;
use crate::outbox::{
    Arrival, Delivery, LeadId, QuarantineId, SinkTotals, StoredLead, StoredQuarantinedPush,
    Timekeeping, Totals,
};
use crate::seal::SealError;

/// Version byte of every record written now.
pub(super) const VERSION: u8 = 1;

/// Longest value in the tree, in bytes. sled 0.34 moves a tree node that outgrows a quarter
/// of a segment (128 KiB) into a file of its own, which it never syncs. A node holds up to 17
/// values, so values this short keep every node inside the log that the barrier covers.
pub(super) const PART: usize = 6 * 1024;

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("a record of version {0} was found, this leadgate reads up to version {VERSION}")]
    Newer(u8),
    #[error("a damaged record was found")]
    Damaged,
    #[error(transparent)]
    Sealed(#[from] SealError),
}

/// Why it cannot be read, in both languages; what encryption says stays as it is.
pub(super) fn in_words(error: &Unreadable) -> Text {
    let zh = match error {
        Unreadable::Newer(version) => {
            format!("记录的版本为 {version}，此 leadgate 最高只能读取版本 {VERSION}")
        }
        Unreadable::Damaged => "记录受损".to_owned(),
        Unreadable::Sealed(sealed) => format!("无法解密：{sealed}"),
    };
    Text::new(error.to_string(), zh)
}

/// Encodes `record` with its version.
pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let out = vec![VERSION];
    postcard::to_extend(record, out)
        .expect("records are plain structs, which postcard can always write")
}

/// Decodes what [`encode`] wrote.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| Unreadable::Damaged),
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer(version)),
        _ => Err(Unreadable::Damaged),
    }
}

/// Encodes and seals `record`.
pub(super) fn seal<T: Serialize>(vault: &Vault, room: u8, record: &T) -> Vec<u8> {
    vault.seal(room, encode(record))
}

/// Opens and decodes what [`seal`] wrote of a delivery.
pub(super) fn open(vault: &Vault, bytes: &[u8]) -> Result<Delivery, Unreadable> {
    decode_owned(&vault.unseal(key::WAITING, bytes)?)
}

/// [`decode`] for records that own what they hold.
pub(super) fn decode_owned<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    decode(bytes)
}

/// Decodes the store's counts. Those of a leadgate that did not count what no sink wants, nor
/// watch its clock, are shorter.
pub(super) fn totals(bytes: &[u8]) -> Result<Totals, Unreadable> {
    #[derive(Deserialize)]
    struct Shorter {
        accepted: u64,
        duplicate: u64,
        quarantined: u64,
        in_quarantine: u64,
        leads: u64,
        latest: Millis,
        sinks: std::collections::BTreeMap<String, SinkTotals>,
    }
    decode_owned::<Totals>(bytes).or_else(|error| {
        let Ok(shorter) = decode_owned::<Shorter>(bytes) else {
            return Err(error);
        };
        Ok(Totals {
            accepted: shorter.accepted,
            duplicate: shorter.duplicate,
            quarantined: shorter.quarantined,
            in_quarantine: shorter.in_quarantine,
            leads: shorter.leads,
            latest: shorter.latest,
            sinks: shorter.sinks,
            unrouted: 0,
            time: Timekeeping::default(),
        })
    })
}

/// A lead revision.
#[derive(Serialize, Deserialize)]
pub(super) struct LeadRecord<'a> {
    pub(super) source: &'a str,
    pub(super) received_at: Millis,
    pub(super) identity: [u8; 32],
    pub(super) stable: bool,
    pub(super) content: [u8; 32],
    pub(super) modified_at: Option<Millis>,
    pub(super) request_id: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) lead: &'a str,
    pub(super) labels: &'a str,
    pub(super) raw: &'a str,
    #[serde(borrow)]
    pub(super) original: Option<&'a [u8]>,
    /// By what the lead can be found, so that the index entries leave with it.
    pub(super) finds: Vec<Tag>,
}

impl<'a> LeadRecord<'a> {
    pub(super) fn of(arrival: &'a Arrival, identity: [u8; 32], finds: Vec<Tag>) -> Self {
        Self {
            source: &arrival.source,
            received_at: arrival.received_at,
            identity,
            stable: arrival.stable,
            content: arrival.content,
            modified_at: arrival.modified_at,
            request_id: arrival.request_id.as_deref(),
            method: arrival.method.as_deref(),
            lead: &arrival.lead,
            labels: &arrival.labels,
            raw: &arrival.raw,
            original: arrival.original.as_deref(),
            finds,
        }
    }

    pub(super) fn stored(&self, id: LeadId, revision: u32) -> StoredLead {
        StoredLead {
            id,
            revision,
            source: self.source.to_owned(),
            received_at: self.received_at,
            lead: self.lead.to_owned(),
            labels: self.labels.to_owned(),
            raw: self.raw.to_owned(),
            original: self.original.map(<[u8]>::to_vec),
        }
    }
}

/// What is known of a lead without reading it. Written as version 2; version 1 did not know
/// when a revision was pushed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct IdentityRecord {
    /// The newest revision's number.
    pub(super) newest: u32,
    /// Latest `modified_at` of any revision.
    pub(super) modified_at: Option<Millis>,
    /// Revisions by content, oldest first; bounded by [`REVISIONS_COMPARED`].
    pub(super) revisions: Vec<Revision>,
}

/// An identity of version 1.
#[derive(Deserialize)]
struct IdentityRecordV1 {
    newest: u32,
    modified_at: Option<Millis>,
    revisions: Vec<(u32, [u8; 32], bool)>,
}

impl IdentityRecord {
    /// Version byte of identities.
    const VERSION: u8 = 2;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = encode(self);
        bytes[0] = Self::VERSION;
        bytes
    }

    /// Of this version or of the one before, in which nobody knows when a revision came last:
    /// longer ago than it matters.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let old: IdentityRecordV1 = match bytes.split_first() {
            Some((&Self::VERSION, rest)) => {
                return postcard::from_bytes(rest).map_err(|_| Unreadable::Damaged);
            }
            _ => decode(bytes)?,
        };
        let revisions = old.revisions.into_iter();
        let revisions = revisions.map(|(number, content, history)| Revision {
            number,
            content,
            history,
            pushed_at: Millis::MIN,
        });
        Ok(Self {
            newest: old.newest,
            modified_at: old.modified_at,
            revisions: revisions.collect(),
        })
    }

    /// The revision that a push with this content repeats, if it brings nothing new. A sender
    /// that gives no modification time may go back to what it said before: content of an
    /// older revision is a repeat only for a while, later it is what holds now.
    pub(super) fn repeated(
        &mut self,
        content: [u8; 32],
        modified_at: Option<Millis>,
        now: Millis,
    ) -> Option<&mut Revision> {
        let current = self.revisions.iter().rev().find(|one| !one.history);
        let current = current.map(|current| current.number);
        let same = self.revisions.iter_mut().rev();
        let same = same.into_iter().find(|one| one.content == content)?;
        let lately = now.saturating_sub(same.pushed_at) <= REPEATED_FOR;
        (modified_at.is_some() || Some(same.number) == current || lately).then_some(same)
    }

    /// Notes another revision; whether it is history: older than what came before it.
    pub(super) fn add(
        &mut self,
        number: u32,
        content: [u8; 32],
        modified_at: Option<Millis>,
        pushed_at: Millis,
    ) -> bool {
        let history =
            matches!((modified_at, self.modified_at), (Some(this), Some(newest)) if this < newest);
        self.newest = number;
        self.modified_at = self.modified_at.max(modified_at);
        if self.revisions.len() == REVISIONS_COMPARED {
            self.revisions.remove(0);
        }
        self.revisions.push(Revision {
            number,
            content,
            history,
            pushed_at,
        });
        history
    }
}

/// One revision's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Revision {
    pub(super) number: u32,
    pub(super) content: [u8; 32],
    /// Came after a newer one: kept, never delivered.
    pub(super) history: bool,
    /// When it was pushed last.
    pub(super) pushed_at: Millis,
}

/// How long a push of an older revision is taken for a late repeat of it.
const REPEATED_FOR: Millis = 15 * 60_000;

/// Revisions that a push is compared with to find a duplicate: the newest ones.
const REVISIONS_COMPARED: usize = 64;

/// A quarantined push.
#[derive(Serialize, Deserialize)]
pub(super) struct QuarantineRecord<'a> {
    pub(super) source: &'a str,
    pub(super) reason: &'a str,
    pub(super) received_at: Millis,
    pub(super) request_id: Option<&'a str>,
    pub(super) query: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    /// What makes an equal push a duplicate, so that the index entry leaves with it.
    pub(super) fingerprint: [u8; 32],
}

impl QuarantineRecord<'_> {
    /// What makes two quarantined pushes the same however they are signed: everything but the query,
    /// whose request id and timestamp change with every push of the same content. A push
    /// without a body is its query.
    pub(super) fn content(&self, vault: &Vault) -> [u8; 32] {
        let content = if self.body.is_empty() {
            self.query.as_bytes()
        } else {
            self.body
        };
        vault.index(
            super::FINGERPRINT,
            &[
                self.source.as_bytes(),
                self.reason.as_bytes(),
                self.content_type.as_bytes(),
                content,
            ],
        )
    }

    /// Bytes that it counts for.
    pub(super) fn size(&self) -> u64 {
        (self.body.len() + self.query.len()) as u64
    }

    pub(super) fn stored(&self, id: QuarantineId) -> StoredQuarantinedPush {
        StoredQuarantinedPush {
            id,
            source: self.source.to_owned(),
            reason: self.reason.to_owned(),
            received_at: self.received_at,
            request_id: self.request_id.map(str::to_owned),
            query: self.query.to_owned(),
            content_type: self.content_type.to_owned(),
            body: self.body.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused_without_panic(bytes: Vec<u8>) {
            let _ = decode::<LeadRecord<'_>>(&bytes);
            let _ = IdentityRecord::decode(&bytes);
        }

        #[test]
        fn a_delivery_record_survives_the_round_trip(sink in "[a-z]{1,8}", attempts: u32, at: i64) {
            let delivery = crate::outbox::Delivery {
                sink, source: "shop".to_owned(), lead: LeadId(uuid::Uuid::nil()), revision: 1,
                created_at: at, state: crate::outbox::State::Waiting { due_at: at }, attempts,
                budget: crate::outbox::Budget { spent: 0, since: at }, fallback_of: None,
                history: vec![], journal: "{}".to_owned(),
            };
            prop_assert_eq!(decode_owned::<crate::outbox::Delivery>(&encode(&delivery)).expect("just encoded"), delivery);
        }
    }

    #[test]
    fn counts_of_before_are_read_and_theirs_are_the_beginning_of_ours() {
        let mut totals = Totals {
            accepted: 7,
            latest: 9,
            ..Totals::default()
        };
        totals.sinks.insert("crm".to_owned(), SinkTotals::default());
        let ours = encode(&totals);
        let added = encode(&(0_u64, Timekeeping::default())).len() - 1;
        let theirs = &ours[..ours.len() - added];
        assert_eq!(super::totals(theirs).expect("shorter"), totals);
        totals.unrouted = 3;
        assert_eq!(super::totals(&encode(&totals)).expect("whole"), totals);
        assert!(super::totals(&theirs[..theirs.len() - 1]).is_err());
    }

    #[test]
    fn an_identity_of_the_version_before_is_read() {
        let old = (
            3_u32,
            Some(7_i64),
            vec![(2_u32, [5_u8; 32], true), (3, [6; 32], false)],
        );
        let read = IdentityRecord::decode(&encode(&old)).expect("version 1");
        assert_eq!((read.newest, read.modified_at), (3, Some(7)));
        assert_eq!(read.revisions[0].content, [5; 32]);
        assert!(read.revisions[0].history && !read.revisions[1].history);
        let again = IdentityRecord::decode(&read.encode()).expect("version 2");
        assert_eq!(again, read);
        assert!(matches!(
            IdentityRecord::decode(&[3, 0]),
            Err(Unreadable::Newer(3))
        ));
    }

    #[test]
    fn an_unknown_newer_version_is_named() {
        let error = decode::<LeadRecord<'_>>(&[9, 0, 0])
            .err()
            .expect("version 9 is unknown");
        assert_eq!(
            error.to_string(),
            "a record of version 9 was found, this leadgate reads up to version 1"
        );
    }
}
