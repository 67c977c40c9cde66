//! Encodings: a file's bytes as text, or what the bytes are instead.
//!
//! Only UTF-8 is read, with or without a byte order mark. What a Chinese Windows writes
//! otherwise (GBK, UTF-16) is recognised, so that its owner is told how to save it.

use std::path::Path;

use super::diagnostic::Text;

/// Largest file read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Why a file cannot be read: what is wrong, and what to do.
pub(super) struct Unreadable {
    pub(super) message: Text,
    pub(super) help: Text,
    /// There is no such file.
    pub(super) absent: bool,
}

/// The text of `path`.
pub(super) fn read(path: &Path) -> Result<String, Unreadable> {
    let shown = path.display();
    let io = |error: &std::io::Error| Unreadable {
        message: io_text(path, error),
        help: Text::default(),
        absent: error.kind() == std::io::ErrorKind::NotFound,
    };
    let facts = std::fs::metadata(path).map_err(|error| io(&error))?;
    if facts.is_dir() {
        return Err(Unreadable {
            message: Text::new(
                format!("{shown} is a folder, not a file"),
                format!("{shown} 是文件夹，不是文件"),
            ),
            help: Text::new(
                "name the file in it, such as leadgate.toml",
                "请写其中的文件，例如 leadgate.toml",
            ),
            absent: false,
        });
    }
    if facts.len() > LARGEST {
        return Err(Unreadable {
            message: Text::new(
                format!("{shown} is larger than {LARGEST} bytes"),
                format!("{shown} 大于 {LARGEST} 字节"),
            ),
            help: Text::default(),
            absent: false,
        });
    }
    let bytes = std::fs::read(path).map_err(|error| io(&error))?;
    decode(&bytes).map_err(|found| {
        let (message, help) = found.explain(path);
        Unreadable {
            message,
            help,
            absent: false,
        }
    })
}

/// An error of the system about `path`.
pub(super) fn io_text(path: &Path, error: &std::io::Error) -> Text {
    let shown = path.display();
    let en = match error.kind() {
        std::io::ErrorKind::NotFound => format!("{shown} is not there"),
        std::io::ErrorKind::PermissionDenied => format!("{shown} may not be read by this user"),
        _ => format!("{shown}: {error}"),
    };
    let zh = match error.kind() {
        std::io::ErrorKind::NotFound => format!("{shown} 不存在"),
        std::io::ErrorKind::PermissionDenied => format!("当前用户无权读取 {shown}"),
        _ => format!("{shown}：{error}"),
    };
    Text::new(en, zh)
}

/// What bytes are that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// GBK or GB18030.
    Gbk,
    /// Nothing known; the first bad byte is in this line.
    Other(usize),
}

impl Found {
    /// What is wrong with the file at `path`, and what to do.
    pub(super) fn explain(self, path: &Path) -> (Text, Text) {
        let shown = path.display();
        let (en, zh) = self.name();
        let message = Text::new(
            format!("{shown} is not UTF-8 text: {en}"),
            format!("{shown} 不是 UTF-8 文本：{zh}"),
        );
        (message, self.help(path))
    }

    fn name(self) -> (String, String) {
        match self {
            Self::Utf16Le | Self::Utf16Be => {
                let order = if self == Self::Utf16Le { "LE" } else { "BE" };
                (
                    format!("it is UTF-16 {order}, which Notepad calls Unicode"),
                    format!("它是 UTF-16 {order}（记事本中的“Unicode”）"),
                )
            }
            Self::Gbk => (
                "it is GBK, which Notepad calls ANSI".to_owned(),
                "它是 GBK 编码（记事本中的“ANSI”）".to_owned(),
            ),
            Self::Other(line) => (
                format!("line {line} has bytes that are not text"),
                format!("第 {line} 行含有无法识别的字节"),
            ),
        }
    }

    fn help(self, path: &Path) -> Text {
        let from = match self {
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Gbk => "GB18030",
            Self::Other(_) => {
                return Text::new(
                    "save it as UTF-8 in your editor",
                    "请在编辑器中另存为 UTF-8 编码",
                );
            }
        };
        let shown = path.display();
        Text::new(
            format!(
                "save it as UTF-8 (in Notepad: Save as, Encoding: UTF-8), or: iconv -f {from} -t UTF-8 {shown} > new.toml"
            ),
            format!(
                "请另存为 UTF-8 编码（记事本：另存为 → 编码选 UTF-8），或执行：iconv -f {from} -t UTF-8 {shown} > new.toml"
            ),
        )
    }
}

/// Bytes as text, without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<String, Found> {
    if bytes.starts_with(&[0xff, 0xfe]) {
        return Err(Found::Utf16Le);
    }
    if bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Found::Utf16Be);
    }
    let zeros = |first: usize| {
        let every: Vec<u8> = bytes.iter().skip(first).step_by(2).copied().collect();
        let zeros: usize = every.iter().map(|byte| usize::from(*byte == 0)).sum();
        zeros * 2 > every.len()
    };
    match (zeros(0), zeros(1)) {
        (false, true) => return Err(Found::Utf16Le),
        (true, false) => return Err(Found::Utf16Be),
        _ => {}
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let (_, broken) = encoding_rs::GB18030.decode_without_bom_handling(bytes);
            if !broken {
                return Err(Found::Gbk);
            }
            let before = &bytes[..error.valid_up_to()];
            Err(Found::Other(before.split(|byte| *byte == b'\n').count()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_chinese_windows_writes_is_recognised() {
        let text = "# 客资\n[sinks.crm]\nplugin = \"http\"\n";
        let utf16 =
            |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
        let (le, be) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
        let (gbk, ..) = encoding_rs::GBK.encode(text);
        assert_eq!(decode(text.as_bytes()).as_deref(), Ok(text));
        assert_eq!(
            decode(format!("\u{feff}{text}").as_bytes()).as_deref(),
            Ok(text)
        );
        assert_eq!(decode(&le), Err(Found::Utf16Le));
        assert_eq!(decode(&be), Err(Found::Utf16Be));
        assert_eq!(
            decode(&[&[0xff, 0xfe][..], &le].concat()),
            Err(Found::Utf16Le)
        );
        assert_eq!(
            decode(&[&[0xfe, 0xff][..], &be].concat()),
            Err(Found::Utf16Be)
        );
        assert_eq!(decode(&gbk), Err(Found::Gbk));
        assert_eq!(decode(b"a = 1\nb = \"\xff\xff\"\n"), Err(Found::Other(2)));
        assert_eq!(decode(b"").as_deref(), Ok(""));
    }
}
