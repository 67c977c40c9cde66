//! The phone number as destinations want it: E.164, for numbers that surely are Chinese
//! mobiles. A number that is not stays as it came; it never refuses a lead.

use std::fmt;

/// A Chinese mobile number, `+86` and eleven digits. `Debug` shows a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// Reads a number with or without `+86`, `0086` or `86`; spaces, hyphens, brackets,
    /// full-width digits and the invisible marks that copied numbers carry are no obstacle.
    pub fn parse(text: &str) -> Option<Self> {
        leadgate_plugin::phone::e164(text).map(Self)
    }

    /// `+8613567658911`
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Phone(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobiles_are_recognised_however_they_are_written() {
        for text in [
            "13567658911",
            "+8613567658911",
            "008613567658911",
            "8613567658911",
            "+86 135-6765-8911",
            "（+86）135 6765 8911",
            "１３５６７６５８９１１",
            "\u{202d}135\u{a0}6765\u{3000}8911\u{202c}",
        ] {
            let phone = Phone::parse(text).map(|phone| phone.as_str().to_owned());
            assert_eq!(phone.as_deref(), Some("+8613567658911"), "{text}");
        }
    }

    #[test]
    fn anything_else_is_absent() {
        for text in [
            "",
            "1356765891",
            "135676589111",
            "12567658911",
            "0571-88888888",
            "135****8911",
            "13567658911转1",
            "+85291234567",
            "+1 3567658911",
            "135+67658911",
        ] {
            assert_eq!(Phone::parse(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_a_mask() {
        let phone = Phone::parse("13567658911").expect("a mobile");
        assert_eq!(format!("{phone:?}"), "Phone(***)");
    }
}
