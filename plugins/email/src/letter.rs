//! The letter: what a lead becomes, ready to be handed to a mail server.
//!
//! Its `Message-ID` and its boundary are made of the delivery's id, so that every attempt
//! writes the same letter, but for the date. Nothing that a lead says can add a header.

use std::fmt::Write;
use std::time::SystemTime;

use leadgate_plugin::Problem;
use leadgate_plugin::template::{Context, Template};
use lettre::Address;

use crate::mailbox::{Mailbox, Slot, one_line};
use crate::mime;
use crate::parts::Parts;

/// Longest id in a boundary, which may have 70 letters.
const ID: usize = 60;

/// A letter for one lead.
pub(crate) struct Letter {
    pub(crate) from: Address,
    /// Each recipient once.
    pub(crate) to: Vec<Address>,
    /// Header and body, as they are sent.
    pub(crate) written: String,
    /// The same for a person to read.
    pub(crate) readable: String,
}

impl Letter {
    pub(crate) fn new(
        parts: &Parts,
        id: &str,
        context: &Context,
        now: SystemTime,
    ) -> Result<Self, Problem> {
        let all = |slots: &[Slot]| -> Result<Vec<Mailbox>, Problem> {
            let filled: Result<Vec<_>, _> = slots.iter().map(|slot| slot.fill(context)).collect();
            filled.map(|filled| filled.into_iter().flatten().collect())
        };
        let (to, cc, bcc) = (all(&parts.to)?, all(&parts.cc)?, all(&parts.bcc)?);
        let mut recipients: Vec<Address> = Vec::new();
        for mailbox in to.iter().chain(&cc).chain(&bcc) {
            if !recipients.contains(&mailbox.address) {
                recipients.push(mailbox.address.clone());
            }
        }
        if recipients.is_empty() {
            return Err(Problem::at("/to", "no recipient for this lead"));
        }
        let reply_to = all(parts.reply_to.as_slice())?;
        let subject = one_line(&fill(&parts.subject, context, "/subject")?);
        let text = fill(&parts.text, context, "/text")?;
        let html = parts.html.as_ref();
        let html = html.map(|html| fill(html, context, "/html")).transpose()?;

        let id = plain_id(id);
        let message_id = format!("<{id}@{}>", parts.from.address.domain());
        let mut written = String::new();
        let mut readable = String::new();
        let lists = [
            ("From", std::slice::from_ref(&parts.from)),
            ("Reply-To", reply_to.as_slice()),
            ("To", to.as_slice()),
            ("Cc", cc.as_slice()),
        ];
        for (name, mailboxes) in lists {
            if !mailboxes.is_empty() {
                let _ = write!(written, "{name}: {}\r\n", mime::mailboxes(mailboxes));
                let _ = writeln!(readable, "{name}: {}", listed(mailboxes));
            }
        }
        if !bcc.is_empty() {
            let _ = writeln!(readable, "Bcc: {}", listed(&bcc));
        }
        let _ = write!(
            readable,
            "Subject: {subject}\nMessage-ID: {message_id}\n\n{text}"
        );
        if let Some(html) = &html {
            let _ = write!(readable, "\n\n(HTML)\n{html}");
        }
        // Absences and the like need not be answered to a machine (RFC 3834).
        let _ = write!(
            written,
            "Subject: {}\r\nMessage-ID: {message_id}\r\nDate: {}\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n",
            mime::text(&subject),
            mime::date(now),
        );
        let text = mime::body("plain", &text);
        match html {
            None => written.push_str(&text),
            Some(html) => {
                let html = mime::body("html", &html);
                // No line of base64 is like it.
                let border = format!("leadgate-{}", &id[..id.len().min(ID)]);
                let _ = write!(
                    written,
                    "Content-Type: multipart/alternative;\r\n boundary=\"{border}\"\r\n\r\n\
                     --{border}\r\n{text}--{border}\r\n{html}--{border}--\r\n"
                );
            }
        }
        Ok(Self {
            from: parts.from.address.clone(),
            to: recipients,
            written,
            readable,
        })
    }
}

fn fill(template: &Template, context: &Context, at: &str) -> Result<String, Problem> {
    let text = template.text(context);
    text.map(Option::unwrap_or_default)
        .map_err(|error| error.into_problem(at))
}

fn listed(mailboxes: &[Mailbox]) -> String {
    let written: Vec<_> = mailboxes.iter().map(Mailbox::to_string).collect();
    written.join(", ")
}

/// An id of letters that may stand in a `Message-ID` and in a boundary.
fn plain_id(id: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    id.replace(|letter| !fits(letter), "-")
}
