//! Fields: what the fields of a lead are called, in the order in which a person looks for them.

use crate::lang::Both;

/// A group of fields, by what they are about.
pub(super) struct Group {
    pub(super) title: Both,
    pub(super) fields: &'static [(&'static str, Both)],
}

/// All of them.
pub(super) const GROUPS: [Group; 5] = [
    Group {
        title: ("Customer", "客户"),
        fields: &[
            ("name", ("Name", "客户名称")),
            ("phone", ("Phone", "手机号")),
            ("taobao_nick", ("Taobao nick", "淘宝 NICK")),
            ("remark", ("Remark", "备注")),
            ("openid", ("Taobao id", "淘宝加密 ID")),
            ("buyer_open_uid", ("Buyer id", "亮灯 ID")),
        ],
    },
    Group {
        title: ("Place", "地点"),
        fields: &[
            ("province_name", ("Province", "省份")),
            ("city_name", ("City", "城市")),
            ("area_name", ("District", "区")),
            ("street_name", ("Street", "街道")),
            ("address", ("Address", "地址")),
            ("store_id", ("Shop", "门店 ID")),
            ("required_store", ("Wanted shop", "意向门店")),
        ],
    },
    Group {
        title: ("Wish", "意向"),
        fields: &[
            ("customer_appointment", ("Appointment", "预约时间")),
            ("intended_category", ("Category", "装修类型")),
            ("decoration_type", ("Type", "类型")),
            ("decoration_style", ("Style", "类型（风格）")),
            ("decoration_stage", ("Stage", "装修阶段")),
            ("customer_budget", ("Budget", "装修预算")),
            ("purchase_intention", ("Intention", "装修意向")),
        ],
    },
    Group {
        title: ("Origin", "来历"),
        fields: &[
            ("record_id", ("Record id", "客资 ID")),
            ("gmt_appointment", ("Left at", "留资时间")),
            ("gmt_modified", ("Changed at", "修改时间")),
            ("customer_status", ("Status", "状态")),
            ("channel", ("Channel", "渠道")),
            ("activity_id", ("Campaign", "活动 ID")),
            ("seller_id", ("Merchant", "商家 ID")),
            ("kf_name", ("Agent", "客服名称")),
            ("kf_id", ("Agent id", "客服 ID")),
            ("order_num", ("Reservation", "预约订单")),
            ("order_id", ("Final payment", "尾款单")),
        ],
    },
    Group {
        title: ("Codes", "编码"),
        fields: &[
            ("province_code", ("Province code", "省编码")),
            ("city_code", ("City code", "城市编码")),
            ("area_code", ("District code", "区域编码")),
            ("street_code", ("Street code", "街道编码")),
            ("open_key", ("Open key", "open_key")),
            ("extra", ("Extra", "扩展字段")),
            ("base_extra", ("Base extra", "加密字段")),
        ],
    },
];

/// What a field is called; its own name if it is none of the document's.
pub(super) fn title(lang: crate::lang::Lang, name: &str) -> &str {
    let mut all = GROUPS.iter().flat_map(|group| group.fields);
    let found = all.find(|(one, _)| *one == name);
    found.map_or(name, |(_, (en, zh))| lang.pick(*en, *zh))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::Lead;

    #[test]
    fn every_field_of_a_lead_is_in_one_group() {
        let fields = GROUPS.iter().flat_map(|group| group.fields);
        let mut names: Vec<&str> = fields.map(|(name, _)| *name).collect();
        names.sort_unstable();
        let mut all = Lead::NAMES.to_vec();
        all.sort_unstable();
        assert_eq!(names, all);
    }
}
