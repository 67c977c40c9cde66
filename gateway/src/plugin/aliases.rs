//! Aliases: what people call a plugin or a preset that has another name here.

/// Names, the plugin that is meant, and its preset if one is.
const ALIASES: &[(&[&str], &str, Option<&str>)] = &[
    (
        &[
            "smtp",
            "mail",
            "e-mail",
            "mailer",
            "email-smtp",
            "邮件",
            "邮箱",
            "电子邮件",
        ],
        "email",
        None,
    ),
    (
        &["webhook", "webhooks", "standard-webhook", "hook"],
        "http",
        Some("standard-webhooks"),
    ),
    (
        &["https", "rest", "api", "post", "url", "接口"],
        "http",
        None,
    ),
    (
        &[
            "mysql",
            "mariadb",
            "postgres",
            "postgresql",
            "pg",
            "database",
            "db",
            "polardb",
            "数据库",
        ],
        "sql",
        None,
    ),
    (
        &[
            "csv", "jsonl", "json", "excel", "xlsx", "log", "文件", "表格",
        ],
        "file",
        None,
    ),
    (
        &[
            "script",
            "python",
            "python3",
            "shell",
            "sh",
            "bash",
            "node",
            "command",
            "cmd",
            "program",
            "process",
            "execd",
            "subprocess",
            "脚本",
            "程序",
            "命令",
        ],
        "exec",
        None,
    ),
    (&["rabbitmq", "rabbit", "amqp091"], "amqp", None),
    (&["jetstream", "nats-jetstream"], "nats", None),
    (
        &["dingtalk", "dingding", "dingtalk-bot", "钉钉", "钉钉机器人"],
        "http",
        Some("dingtalk-robot"),
    ),
    (
        &["feishu", "lark", "feishu-robot", "飞书", "飞书机器人"],
        "http",
        Some("feishu-bot"),
    ),
    (
        &["bitable", "feishu-base", "多维表格", "飞书多维表格"],
        "http",
        Some("feishu-bitable"),
    ),
    (
        &[
            "wecom",
            "wechat",
            "weixin",
            "wxwork",
            "wework",
            "wecom-bot",
            "企业微信",
            "微信",
            "企微",
        ],
        "http",
        Some("wecom-robot"),
    ),
    (&["纷享销客", "sharecrm"], "http", Some("fxiaoke")),
    (&["销售易", "neocrm"], "http", Some("xiaoshouyi")),
    (&["sfdc"], "http", Some("salesforce")),
    (&["zoho-crm", "zohocrm"], "http", Some("zoho")),
    (&["erpnext"], "http", Some("frappe")),
];

/// The plugin and preset that are meant by `name`.
pub(super) fn meant(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    let name = name.trim().to_lowercase().replace([' ', '_'], "-");
    ALIASES
        .iter()
        .find(|(names, ..)| names.contains(&name.as_str()))
        .map(|(_, plugin, preset)| (*plugin, *preset))
}

#[cfg(test)]
mod tests {
    use super::super::{OPTIONAL, Plugins};
    use super::*;
    use crate::config::Catalogue;

    #[test]
    fn every_alias_leads_to_a_plugin_and_a_preset_that_are_there() {
        let plugins = Plugins::builtin().expect("built in");
        for (names, plugin, preset) in ALIASES {
            let known = plugins.get(plugin);
            assert!(known.is_some() || OPTIONAL.contains(plugin), "{plugin}");
            for name in *names {
                assert!(plugins.get(name).is_none(), "{name} is a plugin");
            }
            if let Some(preset) = preset {
                let found = plugins.meant(preset);
                assert_eq!(
                    found,
                    Some(((*plugin).to_owned(), Some((*preset).to_owned())))
                );
            }
        }
    }
}
