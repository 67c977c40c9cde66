//! Subjects: the person, or the one lead, that an erasure or an export is about, and what the
//! store holds of them: leads, and pushes in quarantine.
//!
//! Whoever is looked for comes in a body, never in a URL, and is never repeated.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Admin;
use super::left::Left;
use super::params::id;
use super::problem::{Kind, LEAD, Problem};
use crate::lead::mask::{digit, groups};
use crate::outbox::{Find, FindBy, LeadId, StoredQuarantinedPush};

/// Leads of one person that are looked at, at most.
pub(super) const MOST: usize = 10_000;
/// Pushes in quarantine read at once.
const PAGE: usize = 100;
/// Digits of a number that can be a phone.
const SHORTEST: usize = 7;

/// Who it is about.
pub(super) enum Subject {
    /// One lead.
    Lead(LeadId),
    /// Whoever has this value.
    Person(Find),
}

/// How a body names it: by one of these.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Subject", extend("oneOf" = one_of_them(), "examples" = [{ "phone": "13800138000" }]))]
pub(super) struct Named {
    pub(super) lead: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) record_id: Option<String>,
    pub(super) order_num: Option<String>,
    pub(super) nick: Option<String>,
    pub(super) openid: Option<String>,
}

/// One of what can name it must be there, and say something.
pub(super) fn one_of_them() -> Vec<serde_json::Value> {
    let all = ["lead", "phone", "record_id", "order_num", "nick", "openid"];
    all.map(
        |one| serde_json::json!({ "required": [one], "properties": { one: { "type": "string" } } }),
    )
    .into()
}

impl Subject {
    pub(super) fn of(named: Named) -> Result<Self, Problem> {
        let Named {
            lead,
            phone,
            record_id,
            order_num,
            nick,
            openid,
        } = named;
        let values = [
            (FindBy::Phone, phone),
            (FindBy::RecordId, record_id),
            (FindBy::OrderNum, order_num),
            (FindBy::Nick, nick),
            (FindBy::Openid, openid),
        ];
        let mut values = values
            .into_iter()
            .filter_map(|(by, value)| Some((by, value?)));
        match (lead, values.next(), values.next()) {
            (Some(lead), None, _) => Ok(Self::Lead(LeadId(id(&lead, LEAD)?))),
            (None, Some((by, value)), None) => Self::person(by, &value),
            _ => Err(Problem::new(
                Kind::BadBody,
                (
                    "name one: \"lead\", \"phone\", \"record_id\", \"order_num\", \"nick\" or \"openid\"",
                    "请指明其一：\"lead\"、\"phone\"、\"record_id\"、\"order_num\"、\"nick\" 或 \"openid\"",
                ),
            )),
        }
    }

    fn person(by: FindBy, value: &str) -> Result<Self, Problem> {
        let find = Find::new(by, value);
        let detail = if find.value.is_empty() {
            (
                format!("`{}` is empty", by.as_str()),
                format!("`{}` 为空", by.as_str()),
            )
        } else if Find::asked(by, value).field == FindBy::PhoneEnd {
            (
                "`phone` is the whole phone: many people share the last four digits".to_owned(),
                "`phone` 须为完整手机号：后四位相同的人很多".to_owned(),
            )
        } else {
            return Ok(Self::Person(find));
        };
        Err(Problem::new(Kind::BadBody, detail))
    }

    /// The lead, if it is about one alone.
    pub(super) const fn lead(&self) -> Option<LeadId> {
        match self {
            Self::Lead(id) => Some(*id),
            Self::Person(_) => None,
        }
    }

    /// What it is named by.
    pub(super) const fn by(&self) -> &'static str {
        match self {
            Self::Lead(_) => "lead",
            Self::Person(find) => find.field.as_str(),
        }
    }

    /// Its leads, stored or not, at most `most`. Reads the disk.
    pub(super) fn leads(&self, admin: &Admin, most: usize) -> Result<Vec<LeadId>, Problem> {
        match self {
            Self::Lead(id) => Ok(vec![*id]),
            Self::Person(find) => Ok(admin.outbox.find(find, most)?),
        }
    }

    /// Gives its pushes in quarantine to `each`: those that would become a lead of this person,
    /// and those that say the person's phone however little of them can be read. Those of which
    /// nobody can tell whose they are come back. Reads the disk.
    pub(super) fn pushes(
        &self,
        admin: &Admin,
        mut each: impl FnMut(StoredQuarantinedPush),
    ) -> Result<Vec<Left>, Problem> {
        let mut unread = Vec::new();
        let Self::Person(find) = self else {
            return Ok(unread);
        };
        let mut cursor: Option<String> = None;
        loop {
            let page = admin.outbox.quarantined_ids(cursor.as_deref(), PAGE)?;
            for id in page.items {
                match admin.outbox.quarantined_push(id) {
                    // It has left meanwhile.
                    Ok(None) => {}
                    Ok(Some(push)) => match whose(admin, &push, find) {
                        Whose::Theirs => each(push),
                        Whose::Others => {}
                        Whose::Unknown(left) => unread.push(left),
                    },
                    Err(error) => {
                        // One that is damaged; a store that cannot be asked is another matter.
                        admin.outbox.quarantined_ids(None, 1)?;
                        unread.push(Left::unreadable_push(id, &error));
                    }
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(unread);
            }
        }
    }
}

/// Whose a push is.
enum Whose {
    Theirs,
    Others,
    Unknown(Left),
}

fn whose(admin: &Admin, push: &StoredQuarantinedPush, find: &Find) -> Whose {
    let arrival = (admin.reread)(push);
    let finds = arrival.as_ref().map(|arrival| &arrival.finds);
    if finds.is_some_and(|finds| finds.contains(find)) || says(push, find) {
        return Whose::Theirs;
    }
    match finds {
        None => Whose::Unknown(Left::of_unknown_source(push.id, &push.source)),
        // A text was looked through for the phone.
        Some(finds) if finds.is_empty() && !(find.field == FindBy::Phone && is_text(push)) => {
            Whose::Unknown(Left::of_nobody(push.id))
        }
        Some(_) => Whose::Others,
    }
}

fn is_text(push: &StoredQuarantinedPush) -> bool {
    std::str::from_utf8(&push.body).is_ok()
}

/// Whether a phone stands anywhere in what was pushed.
fn says(push: &StoredQuarantinedPush, find: &Find) -> bool {
    if find.field != FindBy::Phone {
        return false;
    }
    let wanted: String = find.value.chars().filter_map(digit).collect();
    // As people write it, without the country.
    let short = wanted.strip_prefix("86").unwrap_or(&wanted);
    if short.len() < SHORTEST {
        return false;
    }
    let forms = [
        short.to_owned(),
        format!("86{short}"),
        format!("0086{short}"),
    ];
    let body = String::from_utf8_lossy(&push.body);
    [&*body, &push.query].into_iter().any(|text| {
        let apart = numbers(text, |_| false);
        let mut all = apart.into_iter().chain(numbers(text, groups));
        all.any(|number| forms.contains(&number))
    })
}

/// The numbers in a text; what is `between` digits does not part them.
fn numbers(text: &str, between: impl Fn(char) -> bool) -> Vec<String> {
    let mut numbers = vec![String::new()];
    for letter in text.chars() {
        let last = numbers.len() - 1;
        match digit(letter) {
            Some(digit) => numbers[last].push(digit),
            None if between(letter) || numbers[last].is_empty() => {}
            None => numbers.push(String::new()),
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::QuarantineId;

    fn says_it(body: &str, query: &str) -> bool {
        let push = StoredQuarantinedPush {
            id: QuarantineId(uuid::Uuid::nil()),
            source: "shop".to_owned(),
            reason: "unparsable".to_owned(),
            received_at: 0,
            request_id: None,
            query: query.to_owned(),
            content_type: String::new(),
            body: body.as_bytes().to_vec(),
        };
        says(&push, &Find::new(FindBy::Phone, "135 6765 8911"))
    }

    #[test]
    fn a_phone_is_seen_in_what_nobody_can_read_and_no_longer_number_is() {
        for text in [
            "{\"phone\":\"13567658911\",",
            "+86 135-6765-8911",
            "8613567658911",
            "7, 135 6765 8911",
            "１３５６７６５８９１１",
        ] {
            assert!(says_it(text, ""), "{text}");
            assert!(says_it("", text), "{text}");
        }
        for text in [
            "",
            "113567658911",
            "1356765891",
            "13567658912",
            "135,67658911",
        ] {
            assert!(!says_it(text, text), "{text}");
        }
    }

    #[test]
    fn one_and_no_more_is_named_and_no_end_of_a_phone() {
        let named = |lead: Option<&str>, phone: Option<&str>, nick: Option<&str>| {
            Subject::of(Named {
                lead: lead.map(str::to_owned),
                phone: phone.map(str::to_owned),
                nick: nick.map(str::to_owned),
                ..Named::default()
            })
        };
        let id = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";
        assert!(named(Some(id), None, None).is_ok());
        assert!(named(None, Some("13567658911"), None).is_ok());
        assert!(named(None, None, Some("nick")).is_ok());
        for (lead, phone, nick) in [
            (None, None, None),
            (Some(id), Some("13567658911"), None),
            (None, Some("13567658911"), Some("nick")),
            (Some("nobody"), None, None),
            (None, Some("8911"), None),
            (None, Some(" "), None),
        ] {
            assert!(named(lead, phone, nick).is_err());
        }
    }
}
