//! `leadgate token`: who may use the daemon's API, each by a name and with a role.
//!
//! A new token is printed once, alone on stdout, so that it can go into a file or a variable.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::client::{Api, Target, encoded};
use super::table::{self, Column, column};
use super::{Global, finish, out};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a token, and print it this once
    Add(Add),
    /// List tokens: whose, which role, made when and by whom, used last, revoked
    List(Target),
    /// Let nobody in by a token any more, at once
    Revoke(Revoke),
}

#[derive(clap::Args)]
pub(super) struct Add {
    /// Whose it is, such as wang or crm-report
    name: String,
    /// What it allows: viewer looks, and sees nobody's name or phone; operator also retries, cancels, pauses, releases; admin also reveals, exports, erases, makes tokens
    #[arg(long, value_name = "ROLE", value_parser = ["viewer", "operator", "admin"])]
    role: String,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Revoke {
    /// Whose it is
    name: String,
    #[command(flatten)]
    target: Target,
}

const TOKENS: [Column; 6] = [
    column("name", "name", "名称"),
    column("role", "role", "角色"),
    column("made_at", "made", "建立时间"),
    column("by", "by", "建立者"),
    column("last_used_at", "last used", "最近使用"),
    column("revoked_at", "revoked", "撤销时间"),
];

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    finish(match command {
        Command::Add(args) => add(global, args),
        Command::List(target) => list(global, target),
        Command::Revoke(args) => revoke(global, args),
    })
}

fn add(global: &Global, args: &Add) -> Result<(), ExitCode> {
    let wish = json!({ "name": args.name, "role": args.role });
    let made = Api::of(global, &args.target)?.post("/tokens", &wish)?;
    if global.json {
        out::json(&made);
        return Ok(());
    }
    outln!("{}", made["token"].as_str().unwrap_or_default());
    let (name, role) = (&args.name, &args.role);
    let said = global.lang().pick(
        format!(
            "the token of `{name}`, {role}: keep it, nobody can show it again; `leadgate token revoke {name}` ends it"
        ),
        format!(
            "`{name}` 的令牌（{role}）：请保存，之后无法再次显示；用 `leadgate token revoke {name}` 撤销"
        ),
    );
    errln!("leadgate: {said}");
    Ok(())
}

fn list(global: &Global, target: &Target) -> Result<(), ExitCode> {
    let answer = Api::of(global, target)?.get("/tokens")?;
    table::print_list(global, &TOKENS, &answer);
    Ok(())
}

fn revoke(global: &Global, args: &Revoke) -> Result<(), ExitCode> {
    let path = format!("/tokens/{}/revoke", encoded(&args.name));
    let answer = Api::of(global, &args.target)?.post(&path, &json!({}))?;
    if global.json {
        out::json(&answer);
        return Ok(());
    }
    let name = &args.name;
    let said = global.lang().pick(
        format!("the token of `{name}` is revoked: who has it is refused from now on"),
        format!("`{name}` 的令牌已撤销：持有者从现在起被拒绝"),
    );
    outln!("{said}");
    Ok(())
}
