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
pub enum EventKind {
    /// Its first revision.
    #[serde(rename = "lead.created")]
    Created,
    /// A later one.
    #[serde(rename = "lead.updated")]
    Updated,
}

/// The lead in its normal form. Every field is always there, null when the push did not say.
///
/// Descriptions are those of the platform's document. What coded values mean is not
/// published; `labels` holds what the merchant's tables say.
#[derive(Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Lead {
    /// 区
    pub area_name: Option<String>,
    /// 预约时间
    pub customer_appointment: Option<String>,
    /// 类型
    pub decoration_type: Option<i64>,
    /// 渠道
    pub channel: Option<i64>,
    /// 城市
    pub city_code: Option<String>,
    /// 备注
    pub remark: Option<String>,
    /// 修改时间
    pub gmt_modified: Option<String>,
    /// 省
    pub province_code: Option<i64>,
    /// 街道
    pub street_name: Option<String>,
    /// 类型
    pub decoration_style: Option<i64>,
    /// 城市名称
    pub city_name: Option<String>,
    /// 装修预算
    pub customer_budget: Option<i64>,
    /// JSON扩展字段(channelName)
    pub extra: Option<String>,
    /// 装修类型
    pub intended_category: Option<i64>,
    /// 客服名称
    pub kf_name: Option<String>,
    /// 活动ID
    pub activity_id: Option<i64>,
    /// 联系小二获取
    pub open_key: Option<String>,
    /// 装修阶段
    pub decoration_stage: Option<i64>,
    /// 商家ID
    pub seller_id: Option<i64>,
    /// 门店ID
    pub store_id: Option<i64>,
    /// 装修意向
    pub purchase_intention: Option<i64>,
    /// 地址
    pub address: Option<String>,
    /// 区域
    pub area_code: Option<String>,
    /// 意向门店
    pub required_store: Option<i64>,
    /// 客服ID
    pub kf_id: Option<String>,
    /// 街道
    pub street_code: Option<String>,
    /// 省份
    pub province_name: Option<String>,
    /// 客资ID
    pub record_id: Option<i64>,
    /// 手机号
    pub phone: Option<String>,
    /// 状态
    pub customer_status: Option<String>,
    /// 客户名称
    pub name: Option<String>,
    /// 留资时间
    pub gmt_appointment: Option<String>,
    /// 预约订单
    pub order_num: Option<String>,
    /// 淘宝NICK
    pub taobao_nick: Option<String>,
    /// 尾款单
    pub order_id: Option<String>,
    /// 淘宝加密ID
    pub openid: Option<String>,
    /// 亮灯ID
    pub buyer_open_uid: Option<String>,
    /// 加密字段
    pub base_extra: Option<String>,
    /// The phone in E.164 if it surely is a Chinese mobile number.
    pub phone_e164: Option<String>,
    /// `customer_appointment` as an instant, RFC 3339.
    pub customer_appointment_at: Option<String>,
    /// `gmt_modified` as an instant, RFC 3339.
    pub gmt_modified_at: Option<String>,
    /// `gmt_appointment` as an instant, RFC 3339.
    pub gmt_appointment_at: Option<String>,
    /// Fields that the document does not name, as they came.
    pub other: BTreeMap<String, Value>,
}

/// Names of all fields of [`Lead`]; a test compares them with the struct.
#[cfg(feature = "template")]
pub(crate) const LEAD_NAMES: [&str; 43] = [
    "area_name",
    "customer_appointment",
    "decoration_type",
    "channel",
    "city_code",
    "remark",
    "gmt_modified",
    "province_code",
    "street_name",
    "decoration_style",
    "city_name",
    "customer_budget",
    "extra",
    "intended_category",
    "kf_name",
    "activity_id",
    "open_key",
    "decoration_stage",
    "seller_id",
    "store_id",
    "purchase_intention",
    "address",
    "area_code",
    "required_store",
    "kf_id",
    "street_code",
    "province_name",
    "record_id",
    "phone",
    "customer_status",
    "name",
    "gmt_appointment",
    "order_num",
    "taobao_nick",
    "order_id",
    "openid",
    "buyer_open_uid",
    "base_extra",
    "phone_e164",
    "customer_appointment_at",
    "gmt_modified_at",
    "gmt_appointment_at",
    "other",
];

/// Contexts in which every name exists, for trying templates: one without values, one with.
#[cfg(feature = "template")]
pub(crate) fn samples(names: &[&str]) -> [minijinja::Value; 2] {
    let tables = ["labels", "lead", "other", "headers", "body"];
    [Value::Null, Value::from("1")].map(|leaf| {
        let sample: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| {
                let value = match *name {
                    name if tables.contains(&name) => Value::Object(serde_json::Map::new()),
                    _ => leaf.clone(),
                };
                ((*name).to_owned(), value)
            })
            .collect();
        minijinja::Value::from(minijinja::value::Serde(sample))
    })
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
    fn names_are_those_of_the_struct() {
        let schema = serde_json::to_value(schemars::schema_for!(Lead)).expect("a schema is JSON");
        let mut fields: Vec<_> = schema["properties"]
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        let mut names: Vec<_> = LEAD_NAMES.iter().map(|name| (*name).to_owned()).collect();
        fields.sort();
        names.sort();
        assert_eq!(fields, names);
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
