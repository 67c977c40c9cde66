//! The event: what a plugin sees of a lead revision.
//!
//! The published JSON Schema `event.schema.json` is made from these types; a test keeps it
//! current. Field names are the platform's own.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A lead revision for a sink.
#[derive(Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub event: EventKind,
    /// The lead's id, a UUID; the same over all of its revisions.
    pub id: String,
    /// 1 for the first.
    pub revision: u32,
    /// Name of the source in the configuration.
    pub source: String,
    /// When the push was received, RFC 3339 in UTC.
    pub received_at: String,
    /// The lead.
    pub lead: Lead,
    /// Labels of coded fields, from the merchant's tables: field → label.
    pub labels: BTreeMap<String, String>,
    /// The push's body as text.
    pub raw: String,
}

/// What happened to a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[non_exhaustive]
pub enum EventKind {
    /// Its first revision.
    #[serde(rename = "lead.created")]
    Created,
    /// A later one.
    #[serde(rename = "lead.updated")]
    Updated,
}

/// What a field of the lead holds when the push said it.
#[cfg(feature = "template")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// An integer.
    Number,
    /// A text.
    Text,
}

/// A field of [`Lead`].
#[cfg(feature = "template")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) holds: Holds,
    /// Its description, which for the platform's own fields is their Chinese name.
    pub(crate) about: &'static str,
}

#[cfg(feature = "template")]
macro_rules! holds {
    (i64) => {
        Holds::Number
    };
    (String) => {
        Holds::Text
    };
}

/// One table makes the struct and what templates know of its fields.
macro_rules! lead {
    ($(#[doc = $about:literal] $name:ident: $kind:ident,)*) => {
        /// The lead in its normal form. Every field is always there, null when the push did not say.
        ///
        /// Descriptions are those of the platform's document. What coded values mean is not
        /// published; `labels` holds what the merchant's tables say.
        #[derive(Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[non_exhaustive]
        pub struct Lead {
            $(#[doc = $about] pub $name: Option<$kind>,)*
            /// Fields that the document does not name, as they came.
            pub other: BTreeMap<String, Value>,
        }

        /// All fields of [`Lead`] but `other`.
        #[cfg(feature = "template")]
        pub(crate) const FIELDS: [Field; 42] = [
            $(Field { name: stringify!($name), holds: holds!($kind), about: $about },)*
        ];

        /// Names of all fields of [`Lead`].
        #[cfg(feature = "template")]
        pub(crate) const LEAD_NAMES: [&str; 43] = [$(stringify!($name),)* "other"];
    };
}

lead! {
    /// 区
    area_name: String,
    /// 预约时间
    customer_appointment: String,
    /// 类型
    decoration_type: i64,
    /// 渠道
    channel: i64,
    /// 城市
    city_code: String,
    /// 备注
    remark: String,
    /// 修改时间
    gmt_modified: String,
    /// 省
    province_code: i64,
    /// 街道
    street_name: String,
    /// 类型
    decoration_style: i64,
    /// 城市名称
    city_name: String,
    /// 装修预算
    customer_budget: i64,
    /// JSON扩展字段(channelName)
    extra: String,
    /// 装修类型
    intended_category: i64,
    /// 客服名称
    kf_name: String,
    /// 活动ID
    activity_id: i64,
    /// 联系小二获取
    open_key: String,
    /// 装修阶段
    decoration_stage: i64,
    /// 商家ID
    seller_id: i64,
    /// 门店ID
    store_id: i64,
    /// 装修意向
    purchase_intention: i64,
    /// 地址
    address: String,
    /// 区域
    area_code: String,
    /// 意向门店
    required_store: i64,
    /// 客服ID
    kf_id: String,
    /// 街道
    street_code: String,
    /// 省份
    province_name: String,
    /// 客资ID
    record_id: i64,
    /// 手机号
    phone: String,
    /// 状态
    customer_status: String,
    /// 客户名称
    name: String,
    /// 留资时间
    gmt_appointment: String,
    /// 预约订单
    order_num: String,
    /// 淘宝NICK
    taobao_nick: String,
    /// 尾款单
    order_id: String,
    /// 淘宝加密ID
    openid: String,
    /// 亮灯ID
    buyer_open_uid: String,
    /// 加密字段
    base_extra: String,
    /// The phone in E.164 if it surely is a Chinese mobile number.
    phone_e164: String,
    /// `customer_appointment` as an instant, RFC 3339.
    customer_appointment_at: String,
    /// `gmt_modified` as an instant, RFC 3339.
    gmt_modified_at: String,
    /// `gmt_appointment` as an instant, RFC 3339.
    gmt_appointment_at: String,
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest is personal data.
        formatter
            .debug_struct("Event")
            .field("id", &self.id)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lead").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "template")]
    #[test]
    fn the_fields_are_those_of_the_schema_and_of_its_kinds() {
        let schema = serde_json::to_value(schemars::schema_for!(Lead)).expect("a schema is JSON");
        let properties = schema["properties"].as_object().expect("an object");
        assert_eq!(properties.len(), LEAD_NAMES.len());
        for field in FIELDS {
            let kind = match field.holds {
                Holds::Number => "integer",
                Holds::Text => "string",
            };
            let declared = &properties[field.name];
            assert_eq!(declared["type"][0], kind, "{}", field.name);
            assert_eq!(
                declared["description"],
                field.about.trim(),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn the_published_schema_is_current() {
        let schema = schemars::schema_for!(Event);
        let current = format!(
            "{}\n",
            serde_json::to_string_pretty(&schema).expect("a schema is JSON")
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/event.schema.json");
        if std::env::var_os("LEADGATE_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &current).expect("writes the schema");
        }
        let published = std::fs::read_to_string(path).expect("reads the schema");
        assert_eq!(
            published, current,
            "run the tests once with LEADGATE_WRITE_SCHEMA=1"
        );
    }
}
