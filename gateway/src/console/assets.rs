//! Assets: the stylesheet and the script, in the binary.
//!
//! Their addresses change with what they hold, so that browsers keep them for ever.

use std::sync::LazyLock;

use actix_web::{HttpResponse, web};

use crate::admin::{Kind, Problem};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const STYLE: Asset = Asset {
    name: "style.css",
    kind: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};

/// htmx 2.0.11, as it is published; its licence lies beside it.
const SCRIPT: Asset = Asset {
    name: "htmx.min.js",
    kind: "text/javascript; charset=utf-8",
    text: include_str!("assets/htmx.min.js"),
};

/// What distinguishes these assets from those of another version.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let both = format!("{}{}", STYLE.text, SCRIPT.text);
    blake3::hash(both.as_bytes()).to_hex()[..12].to_owned()
});

/// The address of the stylesheet.
pub(super) fn style() -> String {
    format!("/assets/{}/{}", *MARK, STYLE.name)
}

/// The address of the script.
pub(super) fn script() -> String {
    format!("/assets/{}/{}", *MARK, SCRIPT.name)
}

/// `GET /assets/{mark}/{name}`
pub(super) async fn serve(path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (mark, name) = path.into_inner();
    let asset = [STYLE, SCRIPT].into_iter().find(|one| one.name == name);
    let Some(asset) = asset.filter(|_| mark == *MARK) else {
        let detail = ("no such path", "没有这个路径");
        return Err(Problem::new(Kind::NotFound, detail));
    };
    Ok(HttpResponse::Ok()
        .content_type(asset.kind)
        .insert_header(("cache-control", "public, max-age=31536000, immutable"))
        .body(asset.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_htmx_as_it_was_published() {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(SCRIPT.text);
        let hex = digest
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(
            hex,
            "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
        );
    }

    #[test]
    fn the_stylesheet_loads_nothing() {
        for word in ["url(", "@import", "http:", "https:"] {
            assert!(!STYLE.text.contains(word), "{word}");
        }
    }
}
