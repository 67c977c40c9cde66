//! Labels: what a field is called by people and by other programs, for a guess at what was
//! meant. The Chinese names of the platform's document are in the fields' own table.

use crate::event::FIELDS;

/// Further names of fields, in lower case.
const OTHERS: [(&str, &[&str]); 34] = [
    (
        "name",
        &[
            "姓名",
            "名字",
            "客户",
            "客户姓名",
            "称呼",
            "customer_name",
            "username",
            "customer",
            "full_name",
            "fullname",
        ],
    ),
    (
        "phone",
        &[
            "电话",
            "手机",
            "手机号码",
            "电话号码",
            "联系电话",
            "联系方式",
            "mobile",
            "tel",
            "telephone",
            "cellphone",
            "phone_number",
            "phonenumber",
            "mobile_phone",
            "customer_phone",
        ],
    ),
    (
        "store_id",
        &[
            "门店",
            "门店id",
            "门店编号",
            "门店号",
            "店铺",
            "店铺id",
            "shop",
            "shop_id",
            "store",
            "storeid",
            "shopid",
        ],
    ),
    ("required_store", &["意向店铺"]),
    (
        "city_name",
        &["城市", "城市名", "市", "所在城市", "city", "cityname"],
    ),
    ("city_code", &["城市编码", "城市代码", "citycode"]),
    (
        "province_name",
        &["省", "省名", "所在省", "province", "provincename"],
    ),
    ("province_code", &["省编码", "省份编码", "省份代码"]),
    (
        "area_name",
        &["区", "区县", "地区", "区名", "area", "district"],
    ),
    ("area_code", &["区编码", "区域编码"]),
    ("street_name", &["街道", "街道名", "street"]),
    ("street_code", &["街道编码"]),
    ("address", &["详细地址", "住址", "addr"]),
    (
        "remark",
        &[
            "留言",
            "说明",
            "备注信息",
            "note",
            "notes",
            "comment",
            "remarks",
            "memo",
        ],
    ),
    (
        "record_id",
        &[
            "客资",
            "客资id",
            "客资编号",
            "编号",
            "记录号",
            "记录id",
            "线索id",
            "线索编号",
            "lead_id",
            "leadid",
            "recordid",
        ],
    ),
    (
        "seller_id",
        &["商家", "商家id", "商家编号", "卖家", "seller", "sellerid"],
    ),
    ("channel", &["来源渠道", "渠道id"]),
    ("source", &["来源", "数据源"]),
    ("customer_status", &["客户状态", "status"]),
    (
        "gmt_appointment",
        &[
            "留资",
            "提交时间",
            "创建时间",
            "留资日期",
            "created_at",
            "create_time",
            "submitted_at",
        ],
    ),
    ("customer_appointment", &["预约", "预约日期", "appointment"]),
    (
        "gmt_modified",
        &["更新时间", "最后修改时间", "updated_at", "update_time"],
    ),
    (
        "order_num",
        &[
            "订单",
            "订单号",
            "预约单",
            "预约订单号",
            "order_no",
            "ordernum",
        ],
    ),
    ("order_id", &["尾款订单", "尾款单号", "orderid"]),
    (
        "taobao_nick",
        &[
            "淘宝昵称",
            "昵称",
            "旺旺",
            "旺旺号",
            "淘宝nick",
            "nick",
            "nickname",
        ],
    ),
    ("openid", &["淘宝加密id", "open_id"]),
    ("buyer_open_uid", &["亮灯id"]),
    ("kf_name", &["客服", "客服姓名"]),
    ("kf_id", &["客服id", "客服编号"]),
    (
        "activity_id",
        &["活动", "活动id", "活动编号", "activity", "campaign"],
    ),
    ("customer_budget", &["预算", "客户预算", "budget"]),
    ("decoration_stage", &["阶段"]),
    ("decoration_style", &["装修风格", "风格"]),
    (
        "purchase_intention",
        &["意向", "购买意向", "意向度", "intention"],
    ),
];

/// The field that `name` names, if it is no field's own name: `手机号`, `mobile`.
pub(super) fn field(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let others = OTHERS
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()))
        .map(|(field, _)| *field);
    others.or_else(|| {
        FIELDS
            .iter()
            .find(|field| field.about.trim().to_lowercase() == name || field.name == name)
            .map(|field| field.name)
    })
}

/// What another language's word for a value or joint is here.
pub(super) fn keyword(word: &str) -> Option<String> {
    let write = match word {
        "null" | "nil" | "undefined" | "NULL" | "Null" | "NIL" | "NONE" | "Nil" | "nothing" => {
            "none"
        }
        "TRUE" | "yes" | "Yes" | "YES" => "true",
        "FALSE" | "no" | "No" | "NO" => "false",
        "AND" | "And" => "and",
        "OR" | "Or" => "or",
        "NOT" | "Not" => "not",
        "IN" | "In" => "in",
        "IS" | "Is" => "is",
        "IF" | "If" => "if",
        "ELSE" | "Else" => "else",
        _ => return None,
    };
    Some(write.to_owned())
}

/// What another language's filter or test is here.
pub(super) fn elsewhere(kind: &str, name: &str) -> Option<&'static str> {
    Some(match (kind, name) {
        (
            "test",
            "null" | "nil" | "undefined" | "NULL" | "None" | "NONE" | "Null" | "empty" | "blank"
            | "missing",
        ) => "is none",
        ("test", "set" | "present" | "given" | "exists") => "is not none",
        ("test", "contains" | "containing" | "like") => "'…' in name",
        ("test", "startswith" | "starts_with") => "is startingwith('…')",
        ("test", "endswith" | "ends_with") => "is endingwith('…')",
        ("test", "text" | "str") => "is string",
        ("filter", "uppercase" | "upcase" | "toUpperCase") => "| upper",
        ("filter", "lowercase" | "downcase" | "toLowerCase") => "| lower",
        ("filter", "strip") => "| trim",
        ("filter", "date" | "strftime" | "date_format" | "dateformat") => {
            "| datetime | format(\"%F %T\")"
        }
        ("filter", "size" | "len") => "| length",
        ("filter", "json" | "to_json" | "tojsonpretty") => "| tojson",
        ("filter", "from_json" | "parse_json" | "parsejson") => "| fromjson",
        ("filter", "str" | "to_string" | "tostring" | "text") => "| string",
        ("filter", "number" | "to_int" | "toint" | "integer") => "| int(0)",
        ("filter", "truncate" | "cut" | "substr" | "left") => "| truncate_bytes(60, \"…\")",
        ("filter", "md5" | "sha1") => "| sha256",
        ("filter", "hide" | "desensitize") => "| mask",
        ("filter", "ifnull" | "nvl" | "coalesce" | "or_else" | "default_if_none") => {
            "| default('…')"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LEAD_NAMES;

    #[test]
    fn people_and_programs_name_fields_that_there_are() {
        for (field, names) in OTHERS {
            assert!(LEAD_NAMES.contains(&field) || field == "source", "{field}");
            for name in names {
                assert_eq!(*name, name.to_lowercase());
                assert!(!LEAD_NAMES.contains(name), "{name} is a field itself");
                let owners = OTHERS.iter().filter(|(_, all)| all.contains(name));
                assert_eq!(owners.count(), 1, "{name}");
            }
        }
        for field in FIELDS.iter().filter(|field| !field.name.ends_with("_at")) {
            // 类型 and 街道 are the names of two.
            let about = field.about.trim();
            assert!(super::field(about).is_some(), "{about}");
        }
        for (name, field) in [
            ("姓名", "name"),
            ("手机号", "phone"),
            ("电话", "phone"),
            ("门店", "store_id"),
            ("城市", "city_name"),
            ("装修意向", "purchase_intention"),
            ("淘宝NICK", "taobao_nick"),
            ("Mobile", "phone"),
        ] {
            assert_eq!(super::field(name), Some(field), "{name}");
        }
    }
}
