//! Why a record cannot be read.

use crate::lang::Text;
use crate::seal::SealError;

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A later leadgate wrote it.
    #[error(
        "a {what} of version {version} was found, this leadgate reads up to version {known}; \
         use the leadgate that wrote it, or a newer one"
    )]
    Newer {
        /// What it is.
        what: &'static str,
        /// Its version.
        version: u8,
        /// The newest that is known.
        known: u8,
    },
    /// A later leadgate wrote something of which this one knows nothing.
    #[error(
        "a record of the unknown kind {0} was found; use the leadgate that wrote it, or a newer one"
    )]
    Kind(u8),
    /// Its bytes are not what was written.
    #[error("a damaged record was found")]
    Damaged,
    /// It cannot be opened.
    #[error(transparent)]
    Sealed(#[from] SealError),
}

impl Unreadable {
    /// In both languages; what encryption says stays as it is.
    pub fn text(&self) -> Text {
        let zh = match self {
            Self::Newer { version, known, .. } => format!(
                "记录的版本为 {version}，此 leadgate 最高只能读取版本 {known}；\
                 请使用写入它的 leadgate 或更新的版本"
            ),
            Self::Kind(kind) => {
                format!("记录的类型 {kind} 未知；请使用写入它的 leadgate 或更新的版本")
            }
            Self::Damaged => "记录受损".to_owned(),
            Self::Sealed(sealed) => format!("无法解密：{sealed}"),
        };
        Text::new(self.to_string(), zh)
    }
}
