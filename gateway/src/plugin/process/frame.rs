//! Frames: what goes over the socket between the gateway and a plugin's process.
//!
//! Pure, bytes in and values out, and nothing but `std`: the fuzz target includes this file.
//! A frame is `[length u32 | kind u8 | number u64 | body]`, little endian; `length` counts what
//! follows it. Deliveries and outcomes have bodies of their own, of lengths and bytes; all other
//! bodies are JSON. Whatever breaks the format ends the process that sent it.

use std::fmt;

/// Version of all that crosses. Both ends are the same program, so they only ever differ if
/// something is very wrong.
pub const PROTOCOL: u32 = 1;
/// Longest frame to a plugin's process: settings, tables or an event.
pub const MAX_TO_CHILD: usize = 32 << 20;
/// Longest frame from it: a schema, or what would be sent.
pub const MAX_FROM_CHILD: usize = 4 << 20;
/// Bytes of `length`.
const LENGTH: usize = 4;
/// Bytes of `kind` and `number`.
const HEAD: usize = 9;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the child, first: which plugin, which sandbox.
    Hello = 1,
    /// To the child: look at settings.
    Check = 2,
    /// To the child: make the sink.
    Create = 3,
    /// To the child: an attempt.
    Deliver = 4,
    /// To the child: nobody waits for that attempt any more.
    Cancel = 5,
    /// To the child: say what would be sent.
    Render = 6,
    /// To the child: walk to the destination.
    Connect = 7,
    /// To the child: what it asked of the sink's state.
    State = 8,
    /// To the child: are you there.
    Ping = 9,
    /// To the child: let the sink go, and end.
    Destroy = 10,
    /// To the child: how is the sink.
    AskHealth = 11,
    /// From the child: what the plugin is, and which sandbox holds.
    Described = 65,
    /// From the child: the plugin cannot be used.
    Unusable = 66,
    /// From the child: what is wrong with settings.
    Checked = 67,
    /// From the child: the sink is made, or why not.
    Created = 68,
    /// From the child: how an attempt ended.
    Done = 69,
    /// From the child: the step record of an attempt.
    Keep = 70,
    /// From the child: what would be sent.
    Rendered = 71,
    /// From the child: a step on the way to the destination.
    Step = 72,
    /// From the child: how the walk ended.
    Connected = 73,
    /// From the child: a wish to the sink's state.
    AskState = 74,
    /// From the child: an event for the log.
    Log = 75,
    /// From the child: here.
    Pong = 76,
    /// From the child: the sink is gone.
    Destroyed = 77,
    /// From the child: how the sink is.
    Health = 78,
}

impl Kind {
    const ALL: [Self; 25] = [
        Self::Hello,
        Self::Check,
        Self::Create,
        Self::Deliver,
        Self::Cancel,
        Self::Render,
        Self::Connect,
        Self::State,
        Self::Ping,
        Self::Destroy,
        Self::AskHealth,
        Self::Described,
        Self::Unusable,
        Self::Checked,
        Self::Created,
        Self::Done,
        Self::Keep,
        Self::Rendered,
        Self::Step,
        Self::Connected,
        Self::AskState,
        Self::Log,
        Self::Pong,
        Self::Destroyed,
        Self::Health,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Which attempt, question or answer it belongs to.
    pub number: u64,
    /// What it says.
    pub body: &'a [u8],
}

/// Why bytes are no frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A frame says that it is this long.
    Length(u64),
    /// There is no such kind.
    Kind(u8),
    /// A body does not hold what its kind says.
    Body(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(formatter, "a frame of {length} bytes"),
            Self::Kind(kind) => write!(formatter, "a frame of the unknown kind {kind}"),
            Self::Body(what) => write!(formatter, "a frame whose {what} cannot be read"),
        }
    }
}

impl std::error::Error for Broken {}

/// The first frame in `bytes` and how many bytes it takes, or nothing if it is not all there yet.
/// No frame is longer than `most`.
pub fn next(bytes: &[u8], most: usize) -> Result<Option<(Frame<'_>, usize)>, Broken> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let said = u32::from_le_bytes(*length);
    let Some(length) = usize::try_from(said)
        .ok()
        .filter(|length| (HEAD..=most).contains(length))
    else {
        return Err(Broken::Length(u64::from(said)));
    };
    if let Some(kind) = rest.first()
        && Kind::of(*kind).is_none()
    {
        return Err(Broken::Kind(*kind));
    }
    let Some(frame) = rest.get(..length) else {
        return Ok(None);
    };
    let mut fields = Fields(frame);
    let (kind, number) = (fields.byte()?, fields.u64()?);
    let frame = Frame {
        kind: Kind::of(kind).ok_or(Broken::Kind(kind))?,
        number,
        body: fields.0,
    };
    Ok(Some((frame, LENGTH + length)))
}

/// All frames in `bytes` and what is left behind them. Bodies of deliveries and outcomes are
/// looked at as well.
pub fn all(mut bytes: &[u8], most: usize) -> Result<(Vec<Frame<'_>>, &[u8]), Broken> {
    let mut frames = Vec::new();
    while let Some((frame, length)) = next(bytes, most)? {
        match frame.kind {
            Kind::Deliver | Kind::Render => drop(Delivery::read(frame.body)?),
            Kind::Done => drop(Ended::read(frame.body)?),
            _ => {}
        }
        frames.push(frame);
        bytes = &bytes[length..];
    }
    Ok((frames, bytes))
}

/// Adds a frame to `out`, with what `body` writes.
pub fn write(out: &mut Vec<u8>, kind: Kind, number: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.push(kind as u8);
    out.extend_from_slice(&number.to_le_bytes());
    body(out);
    // No body is nearly that long: each end limits what it takes.
    let length = u32::try_from(out.len() - start - LENGTH).unwrap_or(u32::MAX);
    out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
}

/// An attempt as it crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// 1 for the first.
    pub attempt: u32,
    /// How long the gateway waits.
    pub timeout_ms: u64,
    /// The delivery's id.
    pub id: &'a str,
    /// The event.
    pub event: &'a [u8],
    /// The trace.
    pub trace_id: &'a str,
    /// What was kept.
    pub step_record: &'a str,
}

impl<'a> Delivery<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Broken> {
        let mut fields = Fields(body);
        let delivery = Self {
            attempt: fields.u32()?,
            timeout_ms: fields.u64()?,
            id: fields.text()?,
            event: fields.bytes()?,
            trace_id: fields.text()?,
            step_record: fields.text()?,
        };
        fields.end()?;
        Ok(delivery)
    }

    /// Writes a body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.attempt.to_le_bytes());
        out.extend_from_slice(&self.timeout_ms.to_le_bytes());
        for field in [
            self.id.as_bytes(),
            self.event,
            self.trace_id.as_bytes(),
            self.step_record.as_bytes(),
        ] {
            put(out, field);
        }
    }
}

/// How an attempt ended, as it crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// The number of its kind in the ABI.
    pub kind: u32,
    /// The wait that the destination asked for; negative if none.
    pub retry_after_ms: i64,
    /// Receipt, reason, rule, request and response.
    pub texts: [&'a str; 5],
}

impl<'a> Ended<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Broken> {
        let mut fields = Fields(body);
        let ended = Self {
            kind: fields.u32()?,
            retry_after_ms: fields.u64()?.cast_signed(),
            texts: [
                fields.text()?,
                fields.text()?,
                fields.text()?,
                fields.text()?,
                fields.text()?,
            ],
        };
        fields.end()?;
        Ok(ended)
    }

    /// Writes a body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.retry_after_ms.to_le_bytes());
        for text in self.texts {
            put(out, text.as_bytes());
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// What is left of a body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (array, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(Broken::Body("number"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(self.u32()?).map_err(|_| Broken::Body("length"))?;
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Broken::Body("length"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken::Body("text"))
    }

    fn end(&self) -> Result<(), Broken> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Broken::Body("end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERY: Delivery<'_> = Delivery {
        attempt: 3,
        timeout_ms: 10_000,
        id: "0198",
        event: b"{\"a\":1}",
        trace_id: "t",
        step_record: "",
    };

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, Kind::Deliver, 7, |out| DELIVERY.write(out));
        let ended = Ended {
            kind: 3,
            retry_after_ms: -1,
            texts: ["r", "因为", "rule", "", ""],
        };
        write(&mut out, Kind::Done, 8, |out| ended.write(out));
        write(&mut out, Kind::Ping, u64::MAX, |_| {});
        out
    }

    #[test]
    fn frames_come_back_as_they_went_however_they_are_cut() {
        let bytes = written();
        let (frames, left) = all(&bytes, 1000).expect("frames");
        assert_eq!((frames.len(), left.len()), (3, 0));
        assert_eq!(Delivery::read(frames[0].body), Ok(DELIVERY));
        let ended = Ended::read(frames[1].body).expect("an outcome");
        assert_eq!((ended.retry_after_ms, ended.texts[1]), (-1, "因为"));
        assert_eq!((frames[2].kind, frames[2].number), (Kind::Ping, u64::MAX));
        for end in 0..bytes.len() {
            let (some, left) = all(&bytes[..end], 1000).expect("no fault");
            assert!(some.len() < 3);
            let whole: usize = some.iter().map(|one| one.body.len() + HEAD + LENGTH).sum();
            assert_eq!(whole + left.len(), end);
        }
    }

    #[test]
    fn what_breaks_the_format_is_named() {
        let frame = |length: u32, kind: u8| {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.push(kind);
            bytes.extend([0; 8]);
            bytes
        };
        for (bytes, broken) in [
            (frame(8, 9), Broken::Length(8)),
            (frame(1001, 9), Broken::Length(1001)),
            (frame(u32::MAX, 9), Broken::Length(u64::from(u32::MAX))),
            (frame(9, 0), Broken::Kind(0)),
            // Before its end has come.
            (frame(900, 200), Broken::Kind(200)),
        ] {
            assert_eq!(next(&bytes, 1000), Err(broken));
        }
        let good = written();
        let body = next(&good, 1000).expect("one").expect("whole").0.body;
        for end in 0..body.len() {
            assert!(Delivery::read(&body[..end]).is_err());
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert_eq!(Delivery::read(&longer), Err(Broken::Body("end")));
        let mut no_text = body.to_vec();
        no_text[16] = 0xff;
        assert_eq!(Delivery::read(&no_text), Err(Broken::Body("text")));
    }
}
