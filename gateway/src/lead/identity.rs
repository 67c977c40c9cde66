//! Who a lead is across pushes, and whether two pushes say the same.
//!
//! Identity and version are leadgate's own rules (ARCHITECTURE.md, The push). The hashes are
//! stored: changing what goes into them makes every lead look new, so it takes a migration.

use super::Lead;
use super::fields::Value;

/// Who a lead is, across pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Key of the dedup index.
    pub key: [u8; 32],
    /// `false` if there was no `record_id` and the content had to stand in for it: then two
    /// pushes are the same lead only if they say exactly the same.
    pub stable: bool,
}

/// What a push says of its merchant beside the lead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Merchant<'a> {
    /// The parameter `customerid`.
    pub customerid: Option<&'a str>,
    /// The parameter `target_appkey`.
    pub target_appkey: Option<&'a str>,
}

impl Identity {
    /// The identity of `lead` pushed by `source`: the source, the merchant and the record
    /// id. The merchant is the lead's `seller_id`, else `customerid`, else `target_appkey`;
    /// zero and empty name nobody, and so does a `record_id` of zero.
    pub fn of(lead: &Lead, source: &str, merchant: Merchant<'_>) -> Self {
        let named = |text: &&str| !text.is_empty() && *text != "0";
        let seller = lead
            .seller_id
            .filter(|&id| id != 0)
            .map(|id| id.to_string());
        let account = seller
            .as_deref()
            .or(merchant.customerid.filter(named))
            .or(merchant.target_appkey.filter(named))
            .unwrap_or_default();
        let record = match lead.record_id {
            Some(id) => (id != 0).then(|| id.to_string()),
            // An id that is no integer identifies as well as one that is.
            None => lead.other.get("record_id").map(|id| id.as_str().to_owned()),
        };
        let mut parts = Parts::new("leadgate identity 1");
        parts.text(source);
        parts.text(account);
        if let Some(record) = &record {
            parts.text("record");
            parts.text(record);
        } else {
            parts.text("content");
            parts.bytes(&lead.content_hash());
        }
        Self {
            key: parts.hash(),
            stable: record.is_some(),
        }
    }
}

impl Lead {
    /// A hash of everything the lead says, and of nothing that was derived or that came
    /// with the request: pushes with the same hash are duplicates.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut parts = Parts::new("leadgate content 1");
        for field in self.fields() {
            match field.value {
                Value::Number(Some(number)) => {
                    parts.text(field.name);
                    parts.bytes(&number.to_le_bytes());
                }
                Value::Text(Some(text)) => {
                    parts.text(field.name);
                    parts.text(text);
                }
                Value::Number(None) | Value::Text(None) => {}
            }
        }
        parts.text("other");
        for (name, value) in &self.other {
            parts.text(name);
            parts.text(value.as_str());
        }
        parts.hash()
    }
}

/// Parts to be hashed, each behind its length, so that no two lists of parts read alike.
struct Parts(Vec<u8>);

impl Parts {
    fn new(purpose: &str) -> Self {
        let mut parts = Self(Vec::with_capacity(2048));
        parts.text(purpose);
        parts
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn hash(&self) -> [u8; 32] {
        blake3::hash(&self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(text: &str) -> Lead {
        Lead::parse_json(text).expect("a lead")
    }

    fn identity(text: &str) -> Identity {
        Identity::of(&lead(text), "shop", Merchant::default())
    }

    #[test]
    fn the_same_record_of_the_same_seller_is_the_same_lead() {
        let first = identity(r#"{"record_id":1,"seller_id":7,"name":"a"}"#);
        assert!(first.stable);
        assert_eq!(first, identity(r#"{"seller_id":"7","record_id":"1"}"#));
        assert_ne!(first, identity(r#"{"record_id":2,"seller_id":7}"#));
        assert_ne!(first, identity(r#"{"record_id":1,"seller_id":8}"#));
        let elsewhere = Identity::of(
            &lead(r#"{"record_id":1,"seller_id":7}"#),
            "other",
            Merchant::default(),
        );
        assert_ne!(first, elsewhere);
    }

    #[test]
    fn the_request_names_the_merchant_when_the_lead_does_not() {
        let customer = Merchant {
            customerid: Some("7"),
            target_appkey: Some("9"),
        };
        let app = Merchant {
            customerid: Some("0"),
            target_appkey: Some("7"),
        };
        let of_seller = identity(r#"{"record_id":1,"seller_id":7}"#);
        for merchant in [customer, app] {
            let unnamed = lead(r#"{"record_id":1,"seller_id":0}"#);
            assert_eq!(Identity::of(&unnamed, "shop", merchant), of_seller);
        }
    }

    #[test]
    fn without_a_record_id_the_content_stands_in() {
        let first = identity(r#"{"phone":"1"}"#);
        assert!(!first.stable);
        assert_eq!(first, identity(r#"{ "phone": 1 }"#));
        assert_ne!(first, identity(r#"{"phone":"2"}"#));
        assert!(!identity(r#"{"phone":"1","record_id":0}"#).stable);
    }

    #[test]
    fn a_record_id_that_is_no_integer_identifies_too() {
        let first = identity(r#"{"record_id":"R-1","name":"a"}"#);
        assert!(first.stable);
        assert_eq!(first, identity(r#"{"record_id":"R-1","name":"b"}"#));
    }

    #[test]
    fn the_content_is_what_the_lead_says_not_how() {
        let hash = |text| lead(text).content_hash();
        let first = hash(r#"{"name":"a","record_id":1,"x":{"y":[1, 2]}}"#);
        assert_eq!(
            first,
            hash(r#"{"x":{"y":[1,2]},"record_id":"1","name":"a","phone":""}"#)
        );
        assert_ne!(first, hash(r#"{"name":"a","record_id":1,"x":{"y":[1,3]}}"#));
        assert_ne!(first, hash(r#"{"name":"a","record_id":1}"#));
        assert_ne!(hash(r#"{"name":"a"}"#), hash(r#"{"kf_name":"a"}"#));
        assert_ne!(
            hash(r#"{"record_id":"x"}"#),
            hash(r#"{"record_id":"x","name":"x"}"#)
        );
    }

    #[test]
    fn the_hashes_are_those_that_were_stored() {
        let hex = |bytes: [u8; 32]| blake3::Hash::from(bytes).to_hex()[..16].to_owned();
        let sample = lead(crate::lead::SAMPLE);
        assert_eq!(hex(sample.content_hash()), "40b02fbf3cd4f887");
        let identity = Identity::of(&sample, "shop", Merchant::default());
        assert_eq!(hex(identity.key), "a7d542ae045a64e3");
    }
}
