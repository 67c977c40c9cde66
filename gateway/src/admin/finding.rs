//! Findings: what was found out about a signature that is wrong, and what a person does about it.

use super::remedy::{NOTHING, Remedy, remedy};
use crate::lang::{Both, Text};
use crate::telemetry::signed::{Clue, ClueKind, Signed};

/// Of a signature that was looked into.
pub(super) fn of(signed: &Signed) -> Remedy {
    if signed.given.is_none() {
        return remedy(("No signature came with it.", "没有带签名。"), NOTHING);
    }
    match &signed.clue {
        Some(clue) => of_clue(clue, signed),
        None => without_clue(signed),
    }
}

fn without_clue(signed: &Signed) -> Remedy {
    let tried = if signed.tried {
        Text::new(
            "None of the usual mistakes would make it right.",
            "常见的差错都试过，没有一种能让签名成立。",
        )
    } else {
        Text::new(
            "The body is large, so the usual mistakes were not tried.",
            "请求体较大，没有逐一试常见的差错。",
        )
    };
    let (also, todo): (Both, Both) = if signed.authentic_before {
        (
            (
                " Other pushes of this source have been right since the start, so its secret is.",
                "启动以来该来源有过签名正确的推送，所以密钥是对的。",
            ),
            (
                "Either something on the way changes this push, or it is a stranger's: look at who sent it, and at the proxy before leadgate.",
                "要么途中有什么改动了这次推送，要么是陌生人的请求：请看它从哪里来，再检查前面的代理。",
            ),
        )
    } else {
        (
            (
                " No push of this source has been right since the start.",
                "启动以来该来源还没有一次签名正确。",
            ),
            (
                "Most likely the secret is another: compare `app_secret` with the secret of the application that pushes.",
                "多半是密钥不对：请核对 `app_secret` 与推送应用的密钥。",
            ),
        )
    };
    let (en, zh) = tried.both();
    remedy((en + also.0, zh + also.1), todo)
}

/// The secret is the sender's, and that differs.
fn of_clue(clue: &Clue, signed: &Signed) -> Remedy {
    let detail = clue.detail.as_deref().unwrap_or_default();
    let charset = signed.charset;
    match clue.what {
        ClueKind::Nothing => remedy(
            (
                "The signature itself is right; it was refused for something else.",
                "签名本身是对的，拒绝另有原因。",
            ),
            NOTHING,
        ),
        ClueKind::LowerCase => remedy(
            (
                "The secret is right, but the signature is written in small letters.",
                "密钥是对的，但签名写成了小写。",
            ),
            (
                "Have the sender write it in capital letters.",
                "请让发送方改为大写。",
            ),
        ),
        ClueKind::SecretSpace => remedy(
            (
                "It would be right if the configured secret had no white space around it.",
                "去掉所配密钥首尾的空白，签名就对了。",
            ),
            (
                "Correct `app_secret` of the source.",
                "请更正来源的 `app_secret`。",
            ),
        ),
        ClueKind::Unsorted => remedy(
            (
                "The secret is right, but the parameters were signed in the order in which they came.",
                "密钥是对的，但参数没有排序就签了名。",
            ),
            (
                "Have the sender sort them by name.",
                "请让发送方按名称排序后再签名。",
            ),
        ),
        ClueKind::WithoutBody => remedy(
            (
                "The secret is right, but the body was not signed.",
                "密钥是对的，但请求体没有参与签名。",
            ),
            (
                "Have the sender sign the body as well.",
                "请让发送方把请求体也签进去。",
            ),
        ),
        ClueKind::BodyEnds => remedy(
            (
                "The secret is right, but white space or a byte order mark at an end of the body was put in or taken away on the way.",
                "密钥是对的，但请求体首尾的空白、换行或 BOM 在途中被加上或去掉了。",
            ),
            AS_IT_IS,
        ),
        ClueKind::BodyAnew => remedy(
            (
                "The secret is right, but the body was written anew on the way: its white space is another.",
                "密钥是对的，但请求体在途中被重新排版过：空白不同了。",
            ),
            AS_IT_IS,
        ),
        ClueKind::Charset => remedy(
            (
                format!(
                    "The secret is right, but it was signed in {detail}, and its Content-Type says {charset}."
                ),
                format!("密钥是对的，但签名用的是 {detail}，而 Content-Type 写的是 {charset}。"),
            ),
            (
                "If a proxy before leadgate changes the Content-Type, have it pass that on as it is; else have the sender name the charset that it uses.",
                "如果前面的代理改写了 Content-Type，请让它原样转发；否则请发送方写明所用的字符集。",
            ),
        ),
        ClueKind::BodyAsParameters => remedy(
            (
                "The secret is right, but the body was signed as parameters, and its Content-Type says that it is a text.",
                "密钥是对的，但请求体是按表单参数签名的，而 Content-Type 说它是文本。",
            ),
            CONTENT_TYPE,
        ),
        ClueKind::BodyAsText => remedy(
            (
                "The secret is right, but the body was signed as a text, and its Content-Type says that it is a form.",
                "密钥是对的，但请求体是按文本签名的，而 Content-Type 说它是表单。",
            ),
            CONTENT_TYPE,
        ),
        ClueKind::Encoded => remedy(
            (
                "The secret is right, but the parameters were signed as they stand in the URL.",
                "密钥是对的，但参数是按网址中编码后的样子签名的。",
            ),
            (
                "Have the sender sign the plain values, and encode them after that.",
                "请让发送方先对原值签名，再编码。",
            ),
        ),
        ClueKind::WithoutHeaders => remedy(
            (
                "The secret is right, but the headers that `top-sign-list` names were not signed.",
                "密钥是对的，但 `top-sign-list` 列出的请求头没有参与签名。",
            ),
            (
                "If a proxy before leadgate adds that header, have it not.",
                "如果是前面的代理加了这个请求头，请去掉。",
            ),
        ),
        ClueKind::AddedParameter => remedy(
            (
                format!(
                    "The secret is right, but the parameter {detail} was added after it was signed."
                ),
                format!("密钥是对的，但参数 {detail} 是签名之后才加上的。"),
            ),
            (
                "A proxy before leadgate, or the URL that the platform was given, adds it: have it not.",
                "是前面的代理，或平台上填写的推送地址加的：请去掉。",
            ),
        ),
        ClueKind::Hmac => remedy(
            (
                "The secret is right, but it was signed by HMAC.",
                "密钥是对的，但签名用的是 HMAC。",
            ),
            (
                "Have the sender sign by MD5 (`sign_method=md5`).",
                "请让发送方用 MD5 签名（`sign_method=md5`）。",
            ),
        ),
        ClueKind::OtherSource => remedy(
            (
                format!("It is signed with the secret of another source: {detail}."),
                format!("它是用另一个来源的密钥签名的：{detail}。"),
            ),
            (
                "Give the platform the URL with the `path` of that source.",
                "请把平台上的推送地址改成那个来源的 `path`。",
            ),
        ),
    }
}

const AS_IT_IS: Both = (
    "A proxy before leadgate changes bodies: have it pass them on as they are.",
    "前面的代理改动了请求体：请让它原样转发。",
);

const CONTENT_TYPE: Both = (
    "If a proxy before leadgate changes the Content-Type, have it pass that on as it is.",
    "如果前面的代理改写了 Content-Type，请让它原样转发。",
);

#[cfg(test)]
mod tests {
    use super::super::remedy::tests::is_told;
    use super::*;
    use crate::telemetry::signed::{GivenSign, SignShape};

    #[test]
    fn every_clue_is_told_in_both_languages() {
        let mut signed = Signed {
            how: "",
            charset: "utf-8",
            text: String::new(),
            order: Vec::new(),
            given: Some(GivenSign {
                length: 32,
                shape: SignShape::Right,
                ends: None,
            }),
            expected_length: 32,
            secrets: 1,
            pushed_at: None,
            oddities: Vec::new(),
            clue: None,
            tried: true,
            authentic_before: false,
        };
        let said = |signed: &Signed| {
            let remedy = of(signed);
            is_told(&remedy.says);
            remedy.todo.iter().for_each(is_told);
            remedy.says.both().0
        };
        let never = said(&signed);
        signed.authentic_before = true;
        assert_ne!(
            said(&signed),
            never,
            "a secret that was right is not doubted"
        );
        signed.tried = false;
        said(&signed);
        let mut all = std::collections::BTreeSet::new();
        for what in ClueKind::ALL {
            signed.clue = Some(Clue {
                what,
                detail: Some("gbk".to_owned()),
            });
            all.insert(said(&signed));
        }
        assert_eq!(all.len(), ClueKind::ALL.len(), "each is told by itself");
        signed.given = None;
        said(&signed);
    }
}
