//! What the files of segments are called.

const ENDING: &str = ".seg";

/// What a segment's file is called.
pub fn name(number: u32) -> String {
    format!("{number:08}{ENDING}")
}

/// The number of the segment whose file is called so; `None` if it is no segment's name.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_suffix(ENDING)?.parse().ok()?;
    (number > 0 && self::name(number) == name).then_some(number)
}
