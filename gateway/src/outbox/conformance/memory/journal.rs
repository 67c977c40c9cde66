//! The journal: records as bytes, a frame for each commit, and a backup of them.

use std::io::Write;
use std::sync::Mutex;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::lock;
use crate::outbox::conformance::engine::Setup;
use crate::outbox::state::{DeliveryHead, Details, QuarantineHead, Record, Revision, Tag};
use crate::outbox::{BackedUp, LeadId, Pause, QuarantineCount, QuarantineId, Totals, UpkeepError};
use crate::seal::{IndexKey, KeyId};

/// What a closed or crashed store leaves.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) format: u32,
    pub(super) in_use: bool,
    pub(super) index_key: IndexKey,
    pub(super) sealed_with: Option<KeyId>,
    pub(super) frames: Vec<Vec<u8>>,
    /// So many frames are durable.
    pub(super) synced: usize,
}

impl Kept {
    /// Whether the keys are those of this store; from now on the first one is.
    pub(super) fn unlock(&mut self, setup: &Setup) -> Result<(), String> {
        if let Some(id) = self.sealed_with
            && setup.keys.iter().all(|key| key.id() != id)
        {
            return Err(format!("sealed with key {id}, which is not configured"));
        }
        self.sealed_with = setup.keys.first().map(crate::seal::OutboxKey::id);
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Frame {
    records: Vec<Line>,
    totals: Totals,
}

#[derive(Serialize, Deserialize)]
struct Line(#[serde(with = "RecordDef")] Record);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Record")]
enum RecordDef {
    Revision {
        lead: LeadId,
        source: String,
        identity: Tag,
        revision: Revision,
        finds: Vec<Tag>,
        #[serde(with = "body")]
        body: Bytes,
    },
    Pushed {
        lead: LeadId,
        revision: u32,
        at: i64,
    },
    Delivery {
        lead: LeadId,
        delivery: DeliveryHead,
        details: Option<Details>,
    },
    LeadGone {
        lead: LeadId,
        erased: bool,
    },
    Quarantined {
        id: QuarantineId,
        head: QuarantineHead,
        #[serde(with = "body")]
        body: Bytes,
    },
    QuarantineGone {
        id: QuarantineId,
    },
    QuarantineCount {
        source: String,
        count: QuarantineCount,
    },
    Paused {
        sink: String,
        #[serde(with = "pause")]
        pause: Option<Pause>,
    },
    SinkState {
        sink: String,
        key: String,
        value: Option<Vec<u8>>,
    },
}

mod body {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        body.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        Vec::<u8>::deserialize(from).map(Bytes::from)
    }
}

mod pause {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::outbox::Pause;

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        pause: &Option<Pause>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        pause.as_ref().map(Pause::encode).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Pause>, D::Error> {
        let bytes = Option::<Vec<u8>>::deserialize(from)?;
        Ok(bytes.map(|bytes| Pause::decode(&bytes)))
    }
}

/// A commit as it is kept.
pub(super) fn encode(records: &[Record], totals: &Totals) -> Vec<u8> {
    let records = records.iter().cloned().map(Line).collect();
    let totals = totals.clone();
    postcard::to_stdvec(&Frame { records, totals }).expect("plain structs")
}

/// A commit as it was.
pub(super) fn decode(frame: &[u8]) -> Result<(Vec<Record>, Totals), String> {
    let frame: Frame = postcard::from_bytes(frame).map_err(|error| error.to_string())?;
    let records = frame.records.into_iter().map(|line| line.0).collect();
    Ok((records, frame.totals))
}

/// Writes all frames, those that come meanwhile too.
pub(super) fn write_backup(
    kept: &Mutex<Kept>,
    to: &mut dyn Write,
) -> Result<BackedUp, UpkeepError> {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        to.write_all(bytes)
    };
    let (key, at_first) = {
        let kept = lock(kept);
        (kept.index_key.clone(), kept.frames.len())
    };
    put(key.as_bytes())?;
    let mut written = 0;
    loop {
        let Some(frame) = lock(kept).frames.get(written).cloned() else {
            break;
        };
        let length = u32::try_from(frame.len()).expect("a frame is small");
        put(&[&length.to_be_bytes(), frame.as_slice()].concat())?;
        written += 1;
    }
    to.write_all(hasher.finalize().as_bytes())?;
    to.flush()?;
    Ok(BackedUp {
        entries: at_first as u64,
        changes: (written - at_first) as u64,
    })
}

/// Reads what [`write_backup`] wrote.
pub(super) fn read_backup(bytes: &[u8]) -> Result<(IndexKey, Vec<Vec<u8>>), String> {
    let damaged = || "the backup is damaged".to_owned();
    let (bytes, hash) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    if blake3::hash(bytes).as_bytes() != hash {
        return Err(damaged());
    }
    let (key, mut rest) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let mut frames = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (frame, behind) = behind.split_at_checked(length).ok_or_else(damaged)?;
        frames.push(frame.to_vec());
        rest = behind;
    }
    Ok((IndexKey::from_bytes(*key), frames))
}
