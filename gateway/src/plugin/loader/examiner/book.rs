//! The book: every attempt that the examiner starts, and what the plugin says to it.
//!
//! The callbacks write down what came, and what is wrong with it; they judge nothing else. An
//! attempt's number is never given twice, so what is said of one that is closed is a stray.

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;

use super::super::outcome;

/// Longest text that is looked at, in bytes; no contract allows as much.
const LONGEST: usize = 1 << 20;
/// Log events that are kept until they are taken.
const EVENTS: usize = 200;

/// How a plugin ended an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    /// One of `abi::OUTCOME_*`, if it is one.
    pub(crate) kind: u32,
    /// Wait in ms; negative is none.
    pub(crate) retry_after_ms: i64,
    /// Its texts, as the contract names them.
    pub(crate) receipt: String,
    /// Why.
    pub(crate) reason: String,
    /// Which rule.
    pub(crate) rule: String,
    /// What was sent.
    pub(crate) request: String,
    /// What was answered.
    pub(crate) response: String,
}

/// What a plugin logged.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// One of `abi::LOG_*`.
    pub(crate) level: u32,
    /// A phrase.
    pub(crate) message: String,
    /// A JSON object, or empty.
    pub(crate) fields: String,
}

/// What broke the contract, in English and in Chinese.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In English.
    pub(crate) en: String,
    /// In Chinese.
    pub(crate) zh: String,
}

impl Fault {
    pub(super) fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            zh: zh.into(),
        }
    }
}

/// What is known of one attempt.
#[derive(Default)]
pub(super) struct Attempt {
    /// Kept until the plugin completes it.
    pub(super) lent: Option<super::instance::Loan>,
    pub(super) ended: Vec<Ended>,
    pub(super) kept: Vec<String>,
    /// Whether its sink was destroyed.
    pub(super) is_over: bool,
}

#[derive(Default)]
pub(super) struct Book {
    last: usize,
    pub(super) attempts: HashMap<usize, Attempt>,
    pub(super) logs: Vec<Logged>,
    /// What broke the contract.
    pub(super) faults: Vec<Fault>,
}

static BOOK: LazyLock<Mutex<Book>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

pub(super) fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    pub(super) fn begin(&mut self, loan: impl FnOnce(usize) -> super::instance::Loan) -> usize {
        self.last += 1;
        let number = self.last;
        let lent = Some(loan(number));
        let attempt = Attempt {
            lent,
            ..Attempt::default()
        };
        self.attempts.insert(number, attempt);
        number
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < 50 && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// Waits until each of these attempts is completed; whether they were in time.
pub(crate) fn wait(numbers: &[usize], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut book = book();
    loop {
        let open = |number: &usize| {
            let attempt = book.attempts.get(number);
            attempt.is_some_and(|attempt| attempt.ended.is_empty())
        };
        if !numbers.iter().any(open) {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let woken = CHANGED.wait_timeout(book, left);
        book = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// A text as the contract has it, with what is wrong with it.
///
/// # Safety
///
/// `bytes` is valid for reading, if its length is one that the contract allows.
pub(super) unsafe fn text(
    (en, zh): (&str, &str),
    bytes: abi::Bytes,
    limit: usize,
    faults: &mut Vec<Fault>,
) -> String {
    let long = bytes.len;
    if long == 0 {
        return String::new();
    }
    if bytes.ptr.is_null() {
        faults.push(Fault::new(
            format!("{en} is null, with {long} bytes"),
            format!("{zh}为空指针，长度却是 {long}"),
        ));
        return String::new();
    }
    if long > limit {
        faults.push(Fault::new(
            format!("{en} has {long} bytes; {limit} are allowed"),
            format!("{zh}有 {long} 字节，最多 {limit}"),
        ));
    }
    if long > LONGEST {
        return String::new();
    }
    // SAFETY: by the function's contract.
    let slice = unsafe { std::slice::from_raw_parts(bytes.ptr, long) };
    match std::str::from_utf8(slice) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            faults.push(Fault::new(
                format!("{en} is not UTF-8"),
                format!("{zh}不是 UTF-8"),
            ));
            String::from_utf8_lossy(slice).into_owned()
        }
    }
}

/// Completes an attempt. `ctx` is its number.
pub(super) unsafe extern "C" fn done(ctx: *mut c_void, outcome: *const abi::Outcome) {
    let mut faults = Vec::new();
    // SAFETY: valid until we return, by the contract of `done`.
    let ended = unsafe { read(outcome, &mut faults) };
    let mut book = book();
    for fault in faults {
        book.fault(fault);
    }
    let fault = match book.attempts.get_mut(&ctx.addr()) {
        None => Some((
            "an attempt was completed that was never started, or long over",
            "完成了从未开始或早已结束的尝试",
        )),
        Some(attempt) => {
            // What was lent is the plugin's no longer.
            attempt.lent = None;
            attempt.ended.push(ended);
            if attempt.is_over {
                Some((
                    "an attempt was completed after the sink was destroyed",
                    "目的地销毁之后又完成了尝试",
                ))
            } else {
                (attempt.ended.len() > 1).then_some((
                    "an attempt was completed more than once",
                    "同一次尝试完成了不止一次",
                ))
            }
        }
    };
    if let Some((en, zh)) = fault {
        book.fault(Fault::new(en, zh));
    }
    drop(book);
    CHANGED.notify_all();
}

/// # Safety
///
/// `at` is null or points to a struct of `struct_size` bytes whose texts are valid.
unsafe fn read(at: *const abi::Outcome, faults: &mut Vec<Fault>) -> Ended {
    if at.is_null() {
        faults.push(Fault::new("an outcome was null", "结果为空指针"));
        return Ended::default();
    }
    // SAFETY: the size is the first field.
    let size = unsafe { (&raw const (*at).struct_size).read() };
    if (size as usize) < offset_of!(abi::Outcome, retry_after_ms) {
        faults.push(Fault::new(
            format!("an outcome says that it has {size} bytes"),
            format!("结果自称有 {size} 字节"),
        ));
        return Ended::default();
    }
    // SAFETY: as large as it says.
    let outcome = unsafe { read_up_to(at, size, outcome::NOTHING) };
    if !(abi::OUTCOME_DELIVERED..=abi::OUTCOME_AMBIGUOUS).contains(&outcome.kind) {
        faults.push(Fault::new(
            format!("there is no outcome of kind {}", outcome.kind),
            format!("没有编号为 {} 的结果", outcome.kind),
        ));
    }
    // SAFETY: texts are valid until `done` returns.
    unsafe {
        Ended {
            kind: outcome.kind,
            retry_after_ms: outcome.retry_after_ms,
            receipt: text(("a receipt", "回执"), outcome.receipt, 4096, faults),
            reason: text(("a reason", "原因"), outcome.reason, 1024, faults),
            rule: text(("a rule", "规则"), outcome.rule, 128, faults),
            request: text(
                ("a request's short form", "请求摘要"),
                outcome.request,
                4096,
                faults,
            ),
            response: text(
                ("a response's short form", "应答摘要"),
                outcome.response,
                4096,
                faults,
            ),
        }
    }
}

/// Keeps a step record. `ctx` is the attempt's number.
pub(super) unsafe extern "C" fn keep(ctx: *mut c_void, step_record: abi::Bytes) {
    let mut faults = Vec::new();
    // SAFETY: valid until we return.
    let step_record = unsafe {
        text(
            ("a step record", "断点记录"),
            step_record,
            abi::JOURNAL_MAX,
            &mut faults,
        )
    };
    let mut book = book();
    for fault in faults {
        book.fault(fault);
    }
    match book.attempts.get_mut(&ctx.addr()) {
        Some(attempt) if attempt.ended.is_empty() => attempt.kept.push(step_record),
        _ => book.fault(Fault::new(
            "a step record was kept for an attempt that is not open",
            "为未在进行的尝试保存了断点记录",
        )),
    }
}

/// Writes a log event down.
pub(super) unsafe extern "C" fn log(
    _: *mut c_void,
    level: u32,
    message: abi::Bytes,
    fields: abi::Bytes,
) {
    let mut faults = Vec::new();
    // SAFETY: valid until we return.
    let (message, fields) = unsafe {
        (
            text(("a log message", "日志消息"), message, LONGEST, &mut faults),
            text(
                ("a log event's fields", "日志字段"),
                fields,
                LONGEST,
                &mut faults,
            ),
        )
    };
    let is_object = serde_json::from_str::<serde_json::Map<_, _>>(&fields).is_ok();
    if !fields.trim().is_empty() && !is_object {
        faults.push(Fault::new(
            "a log event's fields are not a JSON object",
            "日志字段不是 JSON 对象",
        ));
    }
    if !(abi::LOG_ERROR..=abi::LOG_DEBUG).contains(&level) {
        faults.push(Fault::new(
            format!("there is no log level {level}"),
            format!("没有编号为 {level} 的日志级别"),
        ));
    }
    let mut book = book();
    for fault in faults {
        book.fault(fault);
    }
    if book.logs.len() < EVENTS {
        book.logs.push(Logged {
            level,
            message,
            fields,
        });
    }
}

/// What a host of ABI 1.0 does not have, and what no plugin of it may therefore call.
pub(super) mod beyond {
    use super::{Fault, abi, book, c_void};

    fn called(what: &str) {
        book().fault(Fault::new(
            format!("`{what}` was used although the host's struct_size says that it is not there"),
            format!("使用了 `{what}`，而宿主的 struct_size 表明没有它"),
        ));
    }

    pub(in super::super) unsafe extern "C" fn problem_at(
        _: *mut c_void,
        _: abi::Bytes,
        _: u64,
        _: u64,
        _: abi::Bytes,
        _: abi::Bytes,
    ) {
        called("problem_at");
    }

    pub(in super::super) unsafe extern "C" fn keep(_: *mut c_void, _: abi::Bytes) {
        called("keep");
    }

    pub(in super::super) unsafe extern "C" fn get_extension(
        _: *mut c_void,
        _: abi::Bytes,
    ) -> *const c_void {
        called("get_extension");
        std::ptr::null()
    }
}
