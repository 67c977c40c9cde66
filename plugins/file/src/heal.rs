//! Healing: ends what a crash left unfinished, so that it never runs into the next lead.
//!
//! Nothing is taken away: an unfinished end may as well be somebody's own, from an editor.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::csv::END;

/// Bytes looked at in one go.
const PIECE: u64 = 64 * 1024;

/// Ends an unfinished line; gives the file's length.
pub(crate) fn line(file: &mut File, length: u64) -> io::Result<u64> {
    if length == 0 || ends_with(file, length, b"\n")? {
        return Ok(length);
    }
    close(file, length, b"\n")
}

/// Ends an unfinished row, and the quotes that are open in it; gives the file's length.
pub(crate) fn row(file: &mut File, length: u64) -> io::Result<u64> {
    if length == 0 || ends_with(file, length, END)? {
        return Ok(length);
    }
    let quoted = is_quoted(file, length)?;
    if ends_with(file, length, b"\n")? && !quoted {
        // A whole row of somebody else's.
        Ok(length)
    } else if quoted {
        close(file, length, b"\"\r\n")
    } else if ends_with(file, length, b"\r")? {
        close(file, length, b"\n")
    } else {
        close(file, length, END)
    }
}

fn close(file: &mut File, length: u64, with: &[u8]) -> io::Result<u64> {
    file.write_all(with)?;
    Ok(length + with.len() as u64)
}

fn ends_with(file: &mut File, length: u64, end: &[u8]) -> io::Result<bool> {
    let Some(at) = length.checked_sub(end.len() as u64) else {
        return Ok(false);
    };
    let mut last = vec![0; end.len()];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut last)?;
    Ok(last == end)
}

/// Whether quotes are open at the end: an odd number of them since the last row's end, which
/// no cell holds.
fn is_quoted(file: &mut File, length: u64) -> io::Result<bool> {
    let mut quotes = 0;
    let mut end = length;
    // The first byte of what was looked at before.
    let mut following = None;
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut piece)?;
        for byte in piece.into_iter().rev() {
            if byte == b'\r' && following == Some(b'\n') {
                return Ok(quotes % 2 == 1);
            }
            quotes += u64::from(byte == b'"');
            following = Some(byte);
        }
        end = start;
    }
    Ok(quotes % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healed(text: &str, heal: fn(&mut File, u64) -> io::Result<u64>) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, text).expect("writes");
        let mut options = File::options();
        let mut file = options.read(true).append(true).open(&path).expect("opens");
        let length = heal(&mut file, text.len() as u64).expect("heals");
        let text = std::fs::read_to_string(&path).expect("reads");
        assert_eq!(length, text.len() as u64);
        text
    }

    #[test]
    fn a_torn_row_is_ended_with_its_quotes_and_what_is_whole_is_left_alone() {
        for (text, whole) in [
            ("", ""),
            ("a,b\r\n", "a,b\r\n"),
            ("a,b\r\n1,2", "a,b\r\n1,2\r\n"),
            ("a,b\r\n1,2\r", "a,b\r\n1,2\r\n"),
            ("a,b\r\n1,\"x", "a,b\r\n1,\"x\"\r\n"),
            ("a,b\r\n1,\"", "a,b\r\n1,\"\"\r\n"),
            ("a,b\r\n1,\"x\"\"", "a,b\r\n1,\"x\"\"\"\r\n"),
            ("a,b\r\n1,\"x\n", "a,b\r\n1,\"x\n\"\r\n"),
            ("a,b\r\n\"x\ny\",\"z", "a,b\r\n\"x\ny\",\"z\"\r\n"),
            ("a,b\n1,\"2\"\n", "a,b\n1,\"2\"\n"),
        ] {
            assert_eq!(healed(text, row), whole, "{text:?}");
        }
    }

    #[test]
    fn a_torn_row_longer_than_a_piece_is_followed_to_its_beginning() {
        for more in 0..4 {
            let length = usize::try_from(PIECE).expect("small") + more;
            let text = format!("\"\"\r\n\"{}", "x".repeat(length));
            assert_eq!(healed(&text, row), format!("{text}\"\r\n"), "{more}");
            let text = format!("\"\"\r\n{}", "x".repeat(length));
            assert_eq!(healed(&text, row), format!("{text}\r\n"), "{more}");
        }
    }

    #[test]
    fn a_torn_line_is_ended() {
        assert_eq!(healed("{}\n{\"torn", line), "{}\n{\"torn\n");
        assert_eq!(healed("{}\n", line), "{}\n");
    }
}
