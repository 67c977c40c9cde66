//! What speaks against running a program, in words.

use std::io;
use std::path::Path;

use leadgate_plugin::{Problem, pointer_segment};

pub(crate) fn no_command() -> Problem {
    Problem::at("/command", "it names no program")
        .help("write the program and its arguments: [\"python3\", \"erp.py\"]")
        .chinese("没有写程序", "请写程序及其参数：[\"python3\", \"erp.py\"]")
}

pub(crate) fn nul(at: String) -> Problem {
    Problem::at(at, "a program cannot be given a text with a NUL in it")
        .chinese("传给程序的文本不能含 NUL 字符", "")
}

pub(crate) fn no_variable(name: &str) -> Problem {
    Problem::at(
        format!("/env{}", pointer_segment(name)),
        "not a name that an environment variable can have",
    )
    .help("letters, digits and `_`, such as ERP_TOKEN")
    .chinese(
        "不能作为环境变量名",
        "只能用字母、数字和 `_`，例如 ERP_TOKEN",
    )
}

pub(crate) fn no_folder(folder: &Path) -> Problem {
    let shown = folder.display();
    Problem::at("/folder", format!("the folder {shown} does not exist"))
        .help("make it, or name another")
        .chinese(format!("文件夹 {shown} 不存在"), "请创建，或写其他文件夹")
}

pub(crate) fn missing(file: &Path, error: &io::Error) -> Problem {
    if error.kind() != io::ErrorKind::NotFound {
        return unreadable(file, error, "/command/0");
    }
    let shown = file.display();
    Problem::at("/command/0", format!("{shown} does not exist"))
        .help("a path is relative to the folder of the file that names it")
        .chinese(
            format!("{shown} 不存在"),
            "相对路径以写它的文件所在文件夹为准",
        )
}

pub(crate) fn not_found(name: &str, folder: &Path, path: &str) -> Problem {
    let message = format!("there is no program `{name}` in {path}");
    let chinese = format!("在 {path} 中没有程序 `{name}`");
    let problem = Problem::at("/command/0", message);
    if folder.join(name).is_file() {
        return problem
            .help(format!("one beside the configuration is \"./{name}\""))
            .chinese(chinese, format!("配置旁边的程序请写 \"./{name}\""));
    }
    problem
        .help("install it, or write its whole path")
        .chinese(chinese, "请安装，或写完整路径")
}

pub(crate) fn no_script(at: String, file: &Path, arg: &str) -> Problem {
    let shown = file.display();
    Problem::at(at, format!("{shown} does not exist"))
        .help(format!(
            "the program runs in the folder of the file that names it, or in `folder`; `{arg}` is looked for there"
        ))
        .chinese(
            format!("{shown} 不存在"),
            format!("程序在写它的文件所在文件夹（或 `folder`）中运行，`{arg}` 在那里查找"),
        )
}

pub(crate) fn unreadable(file: &Path, error: &io::Error, at: &str) -> Problem {
    let shown = file.display();
    Problem::at(at, format!("{shown}: {error}")).chinese(format!("{shown}：{error}"), "")
}

pub(crate) fn writable(place: &Path, at: &str) -> Problem {
    let shown = place.display();
    Problem::at(at, format!("{shown} can be changed by other users"))
        .help(format!("run `chmod go-w {shown}`"))
        .chinese(
            format!("其他用户可以修改 {shown}"),
            format!("请运行 `chmod go-w {shown}`"),
        )
}

pub(crate) fn foreign(place: &Path, owner: u32, at: &str) -> Problem {
    let shown = place.display();
    Problem::at(
        at,
        format!("{shown} belongs to user {owner}, who could change it"),
    )
    .help("it must belong to root or to the user that runs leadgate")
    .chinese(
        format!("{shown} 属于用户 {owner}，该用户可以修改它"),
        "它必须属于 root 或运行 leadgate 的用户",
    )
}
