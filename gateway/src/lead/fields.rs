//! The 38 fields of a lead, as the API's document lists them (ARCHITECTURE.md, The push).
//!
//! One table makes the struct, the lookup by name and the walk in the document's order, so
//! that a field cannot be known to one and missing from another. All fields are optional.

use std::collections::BTreeMap;

use super::json::Json;

/// How many fields the document knows.
pub const FIELDS: usize = 38;

/// A field's value, borrowed.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(Option<i64>),
    Text(Option<&'a str>),
}

impl Value<'_> {
    pub(super) fn is_absent(self) -> bool {
        matches!(self, Self::Number(None) | Self::Text(None))
    }
}

/// Where a field's value goes.
pub(super) enum Slot<'a> {
    Number(&'a mut Option<i64>),
    Text(&'a mut Option<String>),
}

/// A field with its name, also as a JSON key with the colon.
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Value<'a>,
}

impl<'a> From<&'a mut Option<i64>> for Slot<'a> {
    fn from(slot: &'a mut Option<i64>) -> Self {
        Self::Number(slot)
    }
}

impl<'a> From<&'a mut Option<String>> for Slot<'a> {
    fn from(slot: &'a mut Option<String>) -> Self {
        Self::Text(slot)
    }
}

impl From<&Option<i64>> for Value<'_> {
    fn from(value: &Option<i64>) -> Self {
        Self::Number(*value)
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(value: &'a Option<String>) -> Self {
        Self::Text(value.as_deref())
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// A lead in its normal form: what a push said, typed, with what was empty left out.
        ///
        /// A field whose value does not fit its type, and every field that the document does
        /// not name, is in [`Lead::other`]: nothing that was pushed is lost.
        #[derive(Clone, Default, PartialEq)]
        pub struct Lead {
            $($(#[$doc])* pub $name: Option<$kind>,)*
            /// Everything else, by name.
            pub other: BTreeMap<String, Json>,
        }

        impl Lead {
            /// The document's fields, in its order.
            pub const NAMES: [&'static str; FIELDS] = [$(stringify!($name)),*];

            pub(super) fn slot(&mut self, name: &str) -> Option<Slot<'_>> {
                match name {
                    $(stringify!($name) => Some(Slot::from(&mut self.$name)),)*
                    _ => None,
                }
            }

            pub(super) fn fields(&self) -> [Field<'_>; FIELDS] {
                [$(Field {
                    name: stringify!($name),
                    key: concat!("\"", stringify!($name), "\":"),
                    value: Value::from(&self.$name),
                }),*]
            }

            pub(super) fn field(&self, name: &str) -> Option<Value<'_>> {
                match name {
                    $(stringify!($name) => Some(Value::from(&self.$name)),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    /// 区: district.
    area_name: String,
    /// 预约时间: when the customer wants to be called or seen; `yyyy-MM-dd HH:mm:ss`, GMT+8.
    customer_appointment: String,
    /// 类型: a code.
    decoration_type: i64,
    /// 渠道: a code.
    channel: i64,
    /// 城市: opaque, not GB/T 2260.
    city_code: String,
    /// 备注: remark; personal data.
    remark: String,
    /// 修改时间: when the lead was last changed; `yyyy-MM-dd HH:mm:ss`, GMT+8.
    gmt_modified: String,
    /// 省: opaque, not GB/T 2260.
    province_code: i64,
    /// 街道: street.
    street_name: String,
    /// 类型: a code.
    decoration_style: i64,
    /// 城市名称: city.
    city_name: String,
    /// 装修预算: a code.
    customer_budget: i64,
    /// JSON 扩展字段: JSON inside a string, verbatim.
    extra: String,
    /// 装修类型: a code.
    intended_category: i64,
    /// 客服名称: name of the customer service agent.
    kf_name: String,
    /// 活动 ID: campaign.
    activity_id: i64,
    /// 联系小二获取: probably a token that Tmall and the merchant share; kept out of logs.
    open_key: String,
    /// 装修阶段: a code.
    decoration_stage: i64,
    /// 商家 ID: the merchant; 0 in the document's own sample, so 0 identifies nobody.
    seller_id: i64,
    /// 门店 ID: the shop.
    store_id: i64,
    /// 装修意向: a code.
    purchase_intention: i64,
    /// 地址: address; personal data.
    address: String,
    /// 区域: opaque, not GB/T 2260.
    area_code: String,
    /// 意向门店: the shop the customer would like.
    required_store: i64,
    /// 客服 ID: customer service agent.
    kf_id: String,
    /// 街道: opaque, not GB/T 2260.
    street_code: String,
    /// 省份: province.
    province_name: String,
    /// 客资 ID: identifies the lead at Tmall.
    record_id: i64,
    /// 手机号: as it came; personal data. See [`Lead::phone_e164`].
    phone: String,
    /// 状态: a code.
    customer_status: String,
    /// 客户名称: personal data.
    name: String,
    /// 留资时间: when the customer left the data; `yyyy-MM-dd HH:mm:ss`, GMT+8.
    gmt_appointment: String,
    /// 预约订单: reservation order.
    order_num: String,
    /// 淘宝 NICK: personal data.
    taobao_nick: String,
    /// 尾款单: order of the final payment.
    order_id: String,
    /// 淘宝加密 ID: personal data.
    openid: String,
    /// 亮灯 ID: personal data.
    buyer_open_uid: String,
    /// 加密字段: ciphertext or JSON inside a string, verbatim.
    base_extra: String,
}
