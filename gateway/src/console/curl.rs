//! Curl: a request as a command that somebody may try by hand.
//!
//! Made of what a preview shows: a line that says where it goes, lines of headers, an empty line and
//! a body; of several steps each behind a line like `# 1. find`. What is masked there as a secret is
//! a variable here. Everything else stands between single quotes, so nothing in a lead is run.

use std::fmt::Write;

/// What a preview has in the place of a secret.
const SECRET: &str = "***";

/// The requests of a preview as commands; `None` if it is none that curl sends.
pub(super) fn of(preview: &str) -> Option<String> {
    let commands: Option<Vec<String>> = steps(preview).into_iter().map(command).collect();
    let commands = commands.filter(|all| !all.is_empty());
    commands.map(|all| all.join("\n\n"))
}

/// Each step's lines without the one that names it.
fn steps(preview: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = preview.lines().collect();
    let mut steps: Vec<Vec<&str>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let begins = is_title(line) && lines.get(at + 1).is_some_and(|next| place(next).is_some());
        if begins {
            steps.push(Vec::new());
        } else if let Some(step) = steps.last_mut() {
            step.push(line);
        } else {
            steps.push(vec![line]);
        }
    }
    steps
}

/// Whether a line names a step.
fn is_title(line: &str) -> bool {
    let number = line
        .strip_prefix("# ")
        .and_then(|rest| rest.split_once(". "));
    number.is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The method and the address, if a line says where a request goes.
fn place(line: &str) -> Option<(&str, &str)> {
    let (method, url) = line.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_url = url.starts_with("http://") || url.starts_with("https://");
    (is_method && is_url).then_some((method, url))
}

fn command(lines: Vec<&str>) -> Option<String> {
    let mut lines = lines.into_iter();
    let (method, url) = place(lines.next()?)?;
    let mut command = format!("curl -X {method} {}", address(url));
    for line in lines.by_ref() {
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        let _ = write!(command, " \\\n  -H {}", header(name, value));
    }
    let body: Vec<&str> = lines.collect();
    let body = body.join("\n");
    let body = body.trim_end();
    if !body.is_empty() {
        let _ = write!(command, " \\\n  --data-raw {}", quoted(body));
    }
    Some(command)
}

/// An address, with the values of its query that are secrets as variables.
fn address(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else {
        return quoted(url);
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, SECRET)) => format!("{}\"${}\"", quoted(&format!("{name}=")), variable(name)),
        _ => quoted(pair),
    });
    let pairs: Vec<String> = pairs.collect();
    format!("{}{}", quoted(&format!("{path}?")), pairs.join("'&'"))
}

/// A header, with what of it is a secret as a variable.
fn header(name: &str, value: &str) -> String {
    let before = match value.strip_suffix(SECRET) {
        Some(before) if before.is_empty() || before.ends_with(' ') => before,
        _ => return quoted(&format!("{name}: {value}")),
    };
    format!(
        "{}\"${}\"",
        quoted(&format!("{name}: {before}")),
        variable(name)
    )
}

/// The name of a variable for a secret that is called so.
fn variable(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        'A'..='Z' | '0'..='9' => letter,
        _ => '_',
    });
    let name: String = letters.collect();
    match name.chars().next() {
        Some('0'..='9') | None => format!("SECRET_{name}"),
        Some(_) => name,
    }
}

/// As one word of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_command_with_its_secrets_as_variables() {
        let preview = "POST https://crm.example/leads?v=2&api-key=***\ncontent-type: application/json\nauthorization: Bearer ***\nx-sign: ***\n\n{\n  \"name\": \"O'Neil $(id) `id`\"\n}";
        assert_eq!(
            of(preview).as_deref(),
            Some(
                "curl -X POST 'https://crm.example/leads?''v=2''&''api-key='\"$API_KEY\" \\\n  \
                 -H 'content-type: application/json' \\\n  \
                 -H 'authorization: Bearer '\"$AUTHORIZATION\" \\\n  \
                 -H 'x-sign: '\"$X_SIGN\" \\\n  \
                 --data-raw '{\n  \"name\": \"O'\\''Neil $(id) `id`\"\n}'"
            )
        );
    }

    #[test]
    fn each_step_is_a_command_and_what_curl_does_not_send_is_none() {
        let preview = "# 1. find\nGET http://crm/find\n\n# 2. make, when found\nPOST http://crm/make\n\n{}\n\n";
        assert_eq!(
            of(preview).as_deref(),
            Some(
                "curl -X GET 'http://crm/find'\n\ncurl -X POST 'http://crm/make' \\\n  --data-raw '{}'"
            )
        );
        for other in [
            "",
            "INSERT INTO leads VALUES (1)",
            "to: a@b.example\n\nPOST http://x",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_is_masked_is_no_secret_and_a_body_is_left_as_it_is() {
        let preview = "POST http://crm/\nx-name: 欧阳***\n\na=***";
        assert_eq!(
            of(preview).as_deref(),
            Some("curl -X POST 'http://crm/' \\\n  -H 'x-name: 欧阳***' \\\n  --data-raw 'a=***'")
        );
    }
}
