//! What keeps the journal from being read or written.

use std::io;
use std::path::{Path, PathBuf};

use super::naming;
use crate::lang::Text;
use crate::outbox::sled::codec::{SegmentFacts, Unreadable};

/// Why the journal cannot be used, or a part of it not be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused. Of a write or a sync it is final: the kernel may have dropped what was
    /// written, so a second try could report success for data that is gone.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Something is not what was written.
    #[error("{0}")]
    Damaged(Damage),
    /// A record is whole and cannot be read.
    #[error("{}: {why}", naming::name(*.segment))]
    Unreadable {
        /// Number of the segment.
        segment: u32,
        /// Why.
        why: Unreadable,
    },
    /// A file that has a segment's name does not begin as one: it is none of ours, or its
    /// beginning is destroyed.
    #[error(
        "{} has the name of a segment, but begins with {}, not as a segment of an outbox; if \
         somebody put it there, take it away; if it is leadgate's, its beginning was \
         overwritten: restore a backup, or save what is whole with `leadgate outbox salvage`",
        .path.display(), if *.zeros { "zeros" } else { "other bytes" }
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whether zeros stand where it should say what it is.
        zeros: bool,
    },
    /// A segment of a later leadgate.
    #[error(
        "{} has format {format}, this leadgate reads up to format {known}; use the leadgate \
         that wrote it, or a newer one", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u16,
        /// The newest that is known.
        known: u16,
    },
    /// A segment of an earlier leadgate, whose records this one does not read.
    #[error(
        "{} was written by an older leadgate; with that one, write the outbox out by `leadgate \
         outbox export`, then `leadgate outbox import` it here into a new folder", .path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
    },
    /// A segment with another's name.
    #[error(
        "{} is segment {number} under another name; give it back its name {}",
        .path.display(), naming::name(*.number)
    )]
    Renamed {
        /// The file.
        path: PathBuf,
        /// Which segment it is.
        number: u32,
    },
    /// A segment that is not one of this store, or not one any more.
    #[error("{} does not belong to this outbox; take it away", .path.display())]
    Stray {
        /// The file.
        path: PathBuf,
    },
    /// A segment is missing.
    #[error(
        "{} is missing: it holds what was written from {} to {}; put it back, or save the rest \
         with `leadgate outbox salvage`", .path.display(), .facts.first, .facts.last
    )]
    Missing {
        /// Where it was.
        path: PathBuf,
        /// What is known of it.
        facts: SegmentFacts,
    },
    /// The open segment is not at its path any more: what is written to it is not there after
    /// a restart.
    #[error(
        "{} was moved, removed or replaced while leadgate had it open; put it back, or restart \
         leadgate to begin with what is there now", .path.display()
    )]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// An earlier error was final.
    #[error("{0}")]
    Poisoned(String),
    /// No such segment, or not any more.
    #[error("segment {0} is not there any more")]
    NoSegment(u32),
    /// More at once than a frame holds.
    #[error("{0} bytes are more than can be written at once")]
    TooLong(usize),
}

impl JournalError {
    /// Whether something that was durable is not there any more, or not what it was.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged(_)
                | Self::Foreign { .. }
                | Self::Unreadable { .. }
                | Self::Missing { .. }
                | Self::Renamed { .. }
        )
    }

    /// Whether a segment was removed before it could be read.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::NoSegment(_))
    }

    /// Whether a newer leadgate wrote it.
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }
}

/// Bytes of a segment that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at byte {offset}{}; save what is whole with `leadgate outbox salvage`",
    naming::name(*.segment), in_sequence(*.sequence)
)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u32,
    /// Where the frame or record begins that is not whole.
    pub offset: u64,
    /// Sequence number of the frame that should be there, if it is known.
    pub sequence: Option<u64>,
}

impl JournalError {
    pub(super) fn damaged(segment: u32, offset: u64, sequence: Option<u64>) -> Self {
        Self::Damaged(Damage {
            segment,
            offset,
            sequence,
        })
    }

    /// In both languages; what the disk says stays as it is.
    pub fn text(&self) -> Text {
        let zh = match self {
            Self::Io { path, source, .. } => format!("读写 {} 失败：{source}", path.display()),
            Self::Damaged(damage) => damage.zh(),
            Self::Unreadable { segment, why } => {
                return why.text().behind(&format!("{}: ", naming::name(*segment)));
            }
            Self::Foreign { path, zeros } => format!(
                "{} 带有日志段的文件名，开头却是{}，而非发件箱的日志段；若是他人放入的文件，\
                 请将其移走；若由 leadgate 写入，则其开头已被覆盖：请恢复备份，\
                 或用 `leadgate outbox salvage` 挽救完好的部分",
                path.display(),
                if *zeros { "零字节" } else { "其他内容" }
            ),
            Self::Newer {
                path,
                format,
                known,
            } => format!(
                "{} 的格式为 {format}，此 leadgate 最高只能读取格式 {known}；\
                 请使用写入它的 leadgate 或更新的版本",
                path.display()
            ),
            Self::Older { path } => format!(
                "{} 由更早版本的 leadgate 写入；请先用该版本执行 `leadgate outbox export` 导出，\
                 再在此用 `leadgate outbox import` 导入到新文件夹",
                path.display()
            ),
            Self::Renamed { path, number } => format!(
                "{} 是改了名的日志段 {number}；请改回原名 {}",
                path.display(),
                naming::name(*number)
            ),
            Self::Stray { path } => {
                format!("{} 不属于此发件箱；请将其移走", path.display())
            }
            Self::Missing { path, facts } => format!(
                "缺少 {}：其中是第 {} 至 {} 次写入的内容；请将其放回，\
                 或用 `leadgate outbox salvage` 挽救其余部分",
                path.display(),
                facts.first,
                facts.last
            ),
            Self::Moved { path } => format!(
                "{} 在 leadgate 打开期间被移动、删除或替换；请放回原处，\
                 或重启 leadgate 以使用现有内容",
                path.display()
            ),
            Self::Poisoned(why) => return Text::plain(why.clone()),
            Self::NoSegment(number) => format!("日志段 {number} 已不存在"),
            Self::TooLong(bytes) => format!("一次写入 {bytes} 字节，超过上限"),
        };
        Text::new(self.to_string(), zh)
    }
}

impl Damage {
    fn zh(&self) -> String {
        let sequence = self.sequence;
        let sequence =
            sequence.map_or_else(String::new, |number| format!("（第 {number} 次写入）"));
        format!(
            "{} 在第 {} 字节处受损{sequence}；请用 `leadgate outbox salvage` 挽救完好的部分",
            naming::name(self.segment),
            self.offset
        )
    }
}

fn in_sequence(sequence: Option<u64>) -> String {
    sequence.map_or_else(String::new, |number| format!(", in write {number}"))
}

/// Says what was tried with which file.
pub(super) trait Tried<T> {
    fn tried(self, what: &'static str, path: &Path) -> Result<T, JournalError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &'static str, path: &Path) -> Result<T, JournalError> {
        self.map_err(|source| JournalError::Io {
            what,
            path: path.to_owned(),
            source,
        })
    }
}
