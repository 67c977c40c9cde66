//! Symbols: what a library exports, read from its file without running any of it.
//!
//! Enough of ELF to list the names of the dynamic symbols that are defined. Everything in the
//! file is doubted: a length or an offset that leads out of it ends the reading with nothing.

use leadgate_plugin::abi::SYMBOL_PREFIX;

/// Symbols looked at, at most.
const MOST: u64 = 1 << 20;
/// Section of dynamic symbols.
const DYNSYM: u32 = 11;

/// Whether these are the first bytes of an ELF file.
pub(crate) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Names of plugins for which the library in `bytes` exports a descriptor function, in order;
/// `None` if it is no library that can be read.
pub(crate) fn plugins(bytes: &[u8]) -> Option<Vec<String>> {
    let mut names: Vec<String> = exported(bytes)?
        .filter_map(|name| name.strip_prefix(SYMBOL_PREFIX))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// Whether it is a library, and not a program: those name what starts them.
pub(crate) fn is_library(bytes: &[u8]) -> bool {
    if !is_elf(bytes) {
        return false;
    }
    let Some(numbers) = Numbers::of(bytes) else {
        return false;
    };
    let is_movable = numbers.half(16) == Some(3);
    is_movable && !has_interpreter(numbers).unwrap_or(false)
}

fn has_interpreter(numbers: Numbers<'_>) -> Option<bool> {
    let (table, entry, count) = if numbers.wide {
        (numbers.long(32)?, numbers.half(54)?, numbers.half(56)?)
    } else {
        (numbers.long(28)?, numbers.half(42)?, numbers.half(44)?)
    };
    let kind = |number: u64| numbers.word(table.checked_add(entry.checked_mul(number)?)?);
    Some((0..count).any(|number| kind(number) == Some(3)))
}

/// How numbers stand in the file.
#[derive(Clone, Copy)]
struct Numbers<'a> {
    bytes: &'a [u8],
    wide: bool,
    little: bool,
}

impl<'a> Numbers<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        Some(Self {
            bytes,
            wide: *bytes.get(4)? == 2,
            little: *bytes.get(5)? == 1,
        })
    }

    fn read(self, at: u64, size: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.little {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        })
    }

    fn half(self, at: u64) -> Option<u64> {
        self.read(at, 2)
    }

    fn word(self, at: u64) -> Option<u64> {
        self.read(at, 4)
    }

    /// An address, offset or size.
    fn long(self, at: u64) -> Option<u64> {
        self.read(at, if self.wide { 8 } else { 4 })
    }
}

/// A section's header, as far as it is needed.
struct Section {
    kind: u64,
    offset: u64,
    size: u64,
    link: u64,
}

fn section(numbers: Numbers<'_>, number: u64) -> Option<Section> {
    let (table, entry) = if numbers.wide {
        (numbers.long(40)?, numbers.half(58)?)
    } else {
        (numbers.long(32)?, numbers.half(46)?)
    };
    let at = table.checked_add(entry.checked_mul(number)?)?;
    let (offset, size, link) = if numbers.wide {
        (24, 32, 40)
    } else {
        (16, 20, 24)
    };
    Some(Section {
        kind: numbers.word(at.checked_add(4)?)?,
        offset: numbers.long(at.checked_add(offset)?)?,
        size: numbers.long(at.checked_add(size)?)?,
        link: numbers.word(at.checked_add(link)?)?,
    })
}

fn exported(bytes: &[u8]) -> Option<impl Iterator<Item = &str>> {
    if !is_elf(bytes) {
        return None;
    }
    let numbers = Numbers::of(bytes)?;
    let sections = numbers.half(if numbers.wide { 60 } else { 48 })?;
    let symbols = (0..sections)
        .filter_map(|number| section(numbers, number))
        .find(|section| section.kind == u64::from(DYNSYM))?;
    let names = section(numbers, symbols.link)?;
    let start = usize::try_from(names.offset).ok()?;
    let end = start.checked_add(usize::try_from(names.size).ok()?)?;
    let names = bytes.get(start..end)?;
    let size = if numbers.wide { 24 } else { 16 };
    let count = (symbols.size / size).min(MOST);
    Some((0..count).filter_map(move |number| {
        let at = symbols.offset.checked_add(number * size)?;
        // What is only needed from elsewhere belongs to no section.
        let belongs = numbers.half(at.checked_add(if numbers.wide { 6 } else { 14 })?)?;
        if belongs == 0 {
            return None;
        }
        let name = usize::try_from(numbers.word(at)?).ok()?;
        let name = names.get(name..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&name[..end]).ok()
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A library with one exported function, one that it needs, and nothing else.
    fn library(wide: bool, little: bool) -> Vec<u8> {
        let put = |into: &mut Vec<u8>, number: u64, size: usize| {
            let bytes = number.to_le_bytes();
            let mut bytes = bytes[..size].to_vec();
            if !little {
                bytes.reverse();
            }
            into.extend(bytes);
        };
        let long = if wide { 8 } else { 4 };
        let names = b"\0leadgate_plugin_erp\0leadgate_plugin_needed\0free\0";
        let (header, symbol, entry) = if wide { (64, 24, 64) } else { (52, 16, 40) };
        let names_at = header;
        let symbols_at = names_at + names.len() as u64;
        let sections_at = symbols_at + 4 * symbol;
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([if wide { 2 } else { 1 }, if little { 1 } else { 2 }, 1]);
        bytes.resize(if wide { 40 } else { 32 }, 0);
        put(&mut bytes, sections_at, long);
        bytes.resize(if wide { 58 } else { 46 }, 0);
        put(&mut bytes, entry, 2);
        put(&mut bytes, 3, 2);
        bytes.resize(usize::try_from(header).expect("small"), 0);
        bytes.extend(names);
        for (name, belongs) in [(0, 0), (1, 7), (21, 0), (44, 7)] {
            let from = bytes.len();
            put(&mut bytes, name, 4);
            bytes.resize(from + if wide { 6 } else { 14 }, 0);
            put(&mut bytes, belongs, 2);
            bytes.resize(from + usize::try_from(symbol).expect("small"), 0);
        }
        for (kind, offset, size, link) in [
            (0, 0, 0, 0),
            (3, names_at, names.len() as u64, 0),
            (11, symbols_at, 4 * symbol, 1),
        ] {
            let from = bytes.len();
            put(&mut bytes, 0, 4);
            put(&mut bytes, kind, 4);
            bytes.resize(from + if wide { 24 } else { 16 }, 0);
            put(&mut bytes, offset, long);
            put(&mut bytes, size, long);
            put(&mut bytes, link, 4);
            bytes.resize(from + usize::try_from(entry).expect("small"), 0);
        }
        bytes
    }

    #[test]
    fn what_a_library_exports_is_listed_and_what_it_needs_is_not() {
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            let names = plugins(&library(wide, little));
            assert_eq!(names, Some(vec!["erp".to_owned()]), "{wide} {little}");
        }
        assert_eq!(plugins(b"#!/bin/sh"), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(cut in 0_usize..600, at in 0_usize..600, byte: u8, wide: bool) {
            let mut bytes = library(wide, true);
            if let Some(one) = bytes.get_mut(at) {
                *one = byte;
            }
            bytes.truncate(cut);
            let _ = plugins(&bytes);
        }
    }
}
