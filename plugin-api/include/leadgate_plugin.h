/* leadgate_plugin.h: the leadgate plugin ABI, version 1.3.
 *
 * A plugin is a shared library that exports one function for each plugin in it:
 *
 *     const lg_plugin *leadgate_plugin_<name>(void);
 *
 * which returns a static descriptor. The host checks magic, major version and size, reads the
 * settings' JSON Schema, and then works with the functions below.
 *
 * Rules that hold everywhere:
 *  - Text is UTF-8 in (pointer, length) pairs without a final zero byte. An empty one may have
 *    a null pointer.
 *  - Everything passed by pointer is borrowed and lives until the function it was passed to
 *    returns, unless said otherwise. Each side frees what it allocated itself.
 *  - No exception, longjmp or unwinding may cross.
 *  - Within a major version fields are only appended. `struct_size` is what the side that made
 *    a struct believes its size to be; read no field beyond it.
 *  - Personal data and secrets never go into log messages, reasons, rules, or the short forms
 *    of request and response.
 *
 * Before each function stands, in this order:
 *    Thread:    from which threads it is called, and what may run beside it.
 *    Called:    how often, and after and before what.
 *    Blocks:    whether it may wait.
 *    Ownership: how long what is passed lives, where that is not the rule above.
 * "The plugin's" are called by the host, "the host's" by the plugin. A sink is in use from its
 * `create` to its `destroy`.
 *
 * What a minor and a major version may change, and the extensions that there are: abi.md.
 * Licence: Apache-2.0.
 */
#ifndef LEADGATE_PLUGIN_H
#define LEADGATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "leadgate" in ASCII, read as a big-endian number. */
#define LG_MAGIC UINT64_C(0x6c65616467617465)
#define LG_ABI_MAJOR 1u
/* 1: lg_report.problem_at; 2: lg_delivery.journal, keep; 3: extensions, and the descriptor's
 * vendor, description and url */
#define LG_ABI_MINOR 3u

/* Longest journal of a delivery, in bytes. */
#define LG_JOURNAL_MAX 4096u

/* Extensions: abilities that are asked for by id, so that structs stop growing. A host asks the
 * plugin through lg_plugin.get_extension, a plugin the host through lg_host.get_extension. An
 * answer is a static struct of the type named here, or null. */
#define LG_STATE_ID "leadgate.state/1"       /* the host's: const lg_state * */
#define LG_LAUNCHER_ID "leadgate.launcher/1" /* the host's: const lg_launcher * */
#define LG_CONNECT_ID "leadgate.connect/1"   /* the plugin's: const lg_connect * */
#define LG_HEALTH_ID "leadgate.health/1"     /* the plugin's: const lg_health * */
#define LG_CANCEL_ID "leadgate.cancel/1"     /* the plugin's: const lg_cancel * */
#define LG_BATCH_ID "leadgate.batch/1"       /* the plugin's: const lg_batch * */
#define LG_STATE_KEY_MAX 64u     /* bytes of a key: a to z, digits, '_', '-' and '.' */
#define LG_STATE_VALUE_MAX 4096u /* bytes of a value */
#define LG_STATE_KEYS_MAX 16u    /* values of a sink */
#define LG_BATCH_MAX 1024u       /* deliveries in one batch, whatever lg_batch.max says */

/* lg_plugin.flags: `deliver` blocks its thread; the host calls it where blocking is allowed. */
#define LG_FLAG_BLOCKING 1u

/* What check, create and render return. */
#define LG_OK 0       /* done */
#define LG_FAILED 1   /* refused; the reason was given through the callback */
#define LG_PANICKED 2 /* broken; the sink must not be used any more */
#define LG_UNSUPPORTED 3 /* connect only: this sink cannot tell */

/* Levels of lg_host.log. */
#define LG_LOG_ERROR 1u /* a person must act */
#define LG_LOG_WARN 2u  /* degraded */
#define LG_LOG_INFO 3u  /* life cycle */
#define LG_LOG_DEBUG 4u /* each attempt */

/* Kinds of lg_outcome. An unknown one counts as ambiguous. */
#define LG_OUTCOME_DELIVERED 1u /* the destination has it */
#define LG_OUTCOME_DUPLICATE 2u /* it had it already */
#define LG_OUTCOME_RETRY 3u     /* not taken; try again */
#define LG_OUTCOME_THROTTLED 4u /* rate limited; the whole sink slows down */
#define LG_OUTCOME_REAUTH 5u    /* credentials were refused or ran out */
#define LG_OUTCOME_REJECTED 6u  /* never will be taken as it is; a person must look */
#define LG_OUTCOME_AMBIGUOUS 7u /* sent, but no answer came: it may have been taken */

/* How a sink is, for lg_health_fn. An unknown one counts as failed. */
#define LG_HEALTH_OK 1u       /* it does what it should */
#define LG_HEALTH_DEGRADED 2u /* it works, and a person should look */
#define LG_HEALTH_FAILED 3u   /* it does not work */

typedef struct lg_bytes {
    const uint8_t *ptr;
    size_t len;
} lg_bytes;

/* What the host offers a sink. The struct itself is borrowed during `create`: copy it. What it
 * points to lives as long as the process. */
typedef struct lg_host {
    uint32_t struct_size;
    uint32_t abi_minor; /* the host's */
    void *ctx;          /* first argument of every host function */

    /* The host's. Writes a log event: a short English phrase, and a JSON object of fields (or
     * empty).
     * Thread:    any, several at once.
     * Called:    as often as needed, from `create` on, as long as the process lives.
     * Blocks:    no.
     * Ownership: both texts are copied. */
    void (*log)(void *ctx, uint32_t level, lg_bytes message, lg_bytes fields);

    /* The host's. A further ability by its id: a struct of the type that belongs to it, or null
     * if the host has it not for this sink. Since minor 3: there only if struct_size says so.
     * Thread:    any, several at once.
     * Called:    as often as needed, from `create` on; the same id gets the same answer.
     * Blocks:    no.
     * Ownership: the answer is static. */
    const void *(*get_extension)(void *ctx, lg_bytes id);
} lg_host;

/* What a sink is made from. */
typedef struct lg_config {
    uint32_t struct_size;
    uint32_t reserved;
    lg_bytes sink;     /* the sink's name in the merchant's configuration */
    lg_bytes settings; /* JSON object, valid by the plugin's schema, secrets resolved */
    lg_bytes tables;   /* JSON object {table: {code: label}}, for lookups */
} lg_config;

/* Where check and create say what is wrong: one call for each problem, all of them rather than
 * the first. `path` is a JSON pointer into the settings ("" is the whole). */
typedef struct lg_report {
    uint32_t struct_size;
    uint32_t reserved;
    void *ctx; /* first argument of both functions */

    /* The host's. `message` and `help` may say the same in two languages: English, U+001F,
     * Chinese.
     * Thread:    the one that runs `check` or `create`.
     * Called:    once for each problem, before `check` or `create` returns.
     * Blocks:    no.
     * Ownership: all texts are copied. */
    void (*problem)(void *ctx, lg_bytes path, lg_bytes message, lg_bytes help);

    /* The host's. The same with a place in the text at `path`: its bytes from `start` up to
     * `end`, counted in the text as the plugin got it. Since minor 1: there only if struct_size
     * says so.
     * Thread:    the one that runs `check` or `create`.
     * Called:    once for each problem, instead of `problem`.
     * Blocks:    no.
     * Ownership: all texts are copied. */
    void (*problem_at)(void *ctx, lg_bytes path, uint64_t start, uint64_t end, lg_bytes message,
                       lg_bytes help);
} lg_report;

/* One attempt. The struct and all it borrows live until `done` was called for it. */
typedef struct lg_delivery {
    uint32_t struct_size;
    uint32_t attempt;    /* 1 for the first */
    uint64_t timeout_ms; /* the host stops waiting then and records the attempt as ambiguous */
    lg_bytes id;         /* stable over all attempts: the idempotency key */
    lg_bytes event;      /* JSON object; see event.schema.json */
    lg_bytes trace_id;   /* 32 hex digits, for the destination's logs; may be empty */
    /* What was kept last in an attempt of this delivery; empty if nothing. This and what follows
     * since minor 2: there only if struct_size says so. */
    lg_bytes journal;

    /* The host's. Keeps `journal` with the delivery, so that a later attempt of it can go on
     * where this one ends: UTF-8, at most LG_JOURNAL_MAX bytes, instead of what was kept before.
     * It is stored sealed like the lead, at once and at the latest with the end of the attempt,
     * and forgotten when the delivery is delivered. Never put a secret in it.
     * Thread:    any.
     * Called:    as often as needed, until `done` was called; later calls, and longer texts,
     *            change nothing.
     * Blocks:    no.
     * Ownership: the text is copied. */
    void (*keep)(void *ctx, lg_bytes journal);
    void *keep_ctx; /* first argument of keep */
} lg_delivery;

/* How an attempt ended. */
typedef struct lg_outcome {
    uint32_t struct_size;
    uint32_t kind;          /* LG_OUTCOME_* */
    int64_t retry_after_ms; /* the wait the destination asked for; negative if none */
    lg_bytes receipt;       /* what is worth keeping, e.g. the destination's id; <= 4 KiB */
    lg_bytes reason;        /* why, in short, for a person; <= 1 KiB */
    /* The rule that decided, e.g. "status-5xx"; <= 128 B. Of a retry two are known to the host:
     * "not-processed", if the destination provably did nothing with it, says nothing about the
     * destination; "taken-in-part", if it took what it could, is an answer of one that is well. */
    lg_bytes rule;
    lg_bytes request;       /* what was sent, in short and redacted; <= 4 KiB */
    lg_bytes response;      /* what was answered, in short and redacted; <= 4 KiB */
} lg_outcome;

/* The host's. Completes an attempt.
 * Thread:    any, also the one that runs `deliver`.
 * Called:    exactly once for each attempt, also after it was cancelled. A second call for the
 *            same attempt is logged and ignored. The sink may be destroyed right after it.
 * Blocks:    no.
 * Ownership: the outcome and its texts are copied; the delivery ends its life. */
typedef void (*lg_done_fn)(void *ctx, const lg_outcome *outcome);

/* The caller's of the function that it is passed to. Takes text.
 * Thread:    the one that runs that function.
 * Called:    as that function says, before it returns.
 * Blocks:    no.
 * Ownership: the text is copied. */
typedef void (*lg_text_fn)(void *ctx, lg_bytes text);

/* LG_STATE_ID, of the host: small values that a sink keeps from one run to the next, such as a
 * refresh token that the destination has replaced. They are stored sealed like the leads and
 * belong to the sink's name. Only the running daemon has it: a sink that is made for a look
 * (check, render) has no state. Every function takes lg_host.ctx first. */
typedef struct lg_state {
    uint32_t struct_size;
    uint32_t reserved;

    /* The host's. Gives what is kept under `key` to `value`, and LG_OK. LG_FAILED without a call
     * if nothing is kept there, or it cannot be read.
     * Thread:    any, several at once.
     * Called:    as often as needed, while the sink is in use.
     * Blocks:    no.
     * Ownership: what `value` gets lives until `value` returns. */
    int32_t (*get)(void *ctx, lg_bytes key, lg_text_fn value, void *value_ctx);

    /* The host's. Keeps `value` under `key` instead of what was kept there; an empty one forgets
     * it. On LG_OK it is on disk. LG_FAILED changes nothing: a key or value too long, too many
     * keys, or a store that does not take it.
     * Thread:    any, several at once.
     * Called:    as often as needed, while the sink is in use.
     * Blocks:    for as long as the disk takes.
     * Ownership: key and value are copied. */
    int32_t (*set)(void *ctx, lg_bytes key, lg_bytes value);
} lg_state;

/* LG_LAUNCHER_ID, of the host: how a plugin starts a program of another hand in the host's
 * sandbox. The host's program is run with the arguments "sandboxed", the id of the process that
 * starts it, what the program may do, the program's whole path, and its arguments. It enters the
 * sandbox, writes one line to standard error ("leadgate-sandbox " and JSON: which parts hold),
 * and becomes the program; if it cannot, it says why there and exits with code 127. It ends when
 * the thread ends that started it.
 * What it may do is a JSON object; a key that is left out is as for every plugin:
 *   memory (bytes), descriptors, processes (numbers; null is no limit),
 *   files (false: all that its user reaches), read, write, execute (lists of paths),
 *   connect (list of TCP ports; null is all), unix_sockets (may connect to sockets that are
 *   files), system_calls (true: what has no use in a plugin is refused). */
typedef struct lg_launcher {
    uint32_t struct_size;
    uint32_t reserved;
    lg_bytes program; /* path of the host's program; static */
} lg_launcher;

/* One step on the way to a destination. */
typedef struct lg_step {
    uint32_t struct_size;
    int32_t result;   /* LG_OK or LG_FAILED */
    uint64_t took_ms;
    lg_bytes name;    /* dns, tcp, tls, login, token or another short word; <= 32 B */
    lg_bytes note;    /* why it failed, or what was found; never a secret; <= 1 KiB */
} lg_step;

/* The host's. Takes a step.
 * Thread:    any, one at a time.
 * Called:    once for each step, as it ends, before `connect` returns.
 * Blocks:    no.
 * Ownership: the step and its texts are copied. */
typedef void (*lg_step_fn)(void *ctx, const lg_step *step);

/* LG_CONNECT_ID, of the plugin: whether a sink's destination can be reached and takes our
 * credentials, without sending it anything of a lead. */
typedef struct lg_connect {
    uint32_t struct_size;
    uint32_t reserved;

    /* The plugin's. Connects, and tells each step as it ends, the failed one last. LG_OK if all
     * went well, LG_FAILED if a step failed, LG_UNSUPPORTED if the plugin cannot tell.
     * Thread:    one that may block, beside attempts that may run.
     * Called:    as often as an operator asks, while the sink is in use.
     * Blocks:    at most for timeout_ms.
     * Ownership: `step` and `ctx` live until it returns. */
    int32_t (*connect)(void *sink, uint64_t timeout_ms, lg_step_fn step, void *ctx);
} lg_connect;

/* The host's. Takes how a sink is, LG_HEALTH_*, and why in short, for a person; never personal
 * data; <= 1 KiB.
 * Thread:    the one that runs `health`.
 * Called:    exactly once, before `health` returns.
 * Blocks:    no.
 * Ownership: the text is copied. */
typedef void (*lg_health_fn)(void *ctx, uint32_t health, lg_bytes why);

/* LG_HEALTH_ID, of the plugin: how a sink is, beyond how its attempts end. */
typedef struct lg_health {
    uint32_t struct_size;
    uint32_t reserved;

    /* The plugin's. Says how the sink is: what is known, without finding anything out.
     * Thread:    any, beside attempts that may run; one call at a time for a sink.
     * Called:    as often as an operator looks, while the sink is in use.
     * Blocks:    no.
     * Ownership: `say` and `ctx` live until it returns. */
    void (*health)(void *sink, lg_health_fn say, void *ctx);
} lg_health;

/* LG_CANCEL_ID, of the plugin: attempts that nobody waits for any more can be ended. */
typedef struct lg_cancel {
    uint32_t struct_size;
    uint32_t reserved;

    /* The plugin's. The host does not wait any more for the attempt with this `ctx`: its time is
     * over, or the host stops. The plugin ends it soon and calls `done` for it as ever; what that
     * says is not looked at.
     * Thread:    any, also while `deliver` has not returned.
     * Called:    at most once for an attempt, while the sink is in use. It may come after
     *            `done`, or before `deliver` has done anything: an unknown `ctx` changes nothing.
     * Blocks:    no.
     * Ownership: `ctx` is only compared with those of attempts; none is given twice. */
    void (*cancel)(void *sink, void *ctx);
} lg_cancel;

/* LG_BATCH_ID, of the plugin: several deliveries in one call. */
typedef struct lg_batch {
    uint32_t struct_size;
    uint32_t max; /* deliveries in one call, 2 to LG_BATCH_MAX */

    /* The plugin's. Starts one attempt of each of `count` deliveries, 2 to `max`, as
     * lg_plugin.deliver does of one, which gets what is alone. Each is completed by `done` with
     * the `ctx` of its place, in any order; one that cannot be taken must not fail the others.
     * Thread:    any, several at once; where blocking is allowed if lg_plugin.flags say so.
     * Called:    as often as several deliveries wait at the same moment, while the sink is in use.
     * Blocks:    only if the plugin says so in its flags; returns at once if not.
     * Ownership: both arrays live until it returns, each delivery until its `done`. */
    void (*deliver_batch)(void *sink, const lg_delivery *const *deliveries, void *const *ctxs,
                          size_t count, lg_done_fn done);
} lg_batch;

/* The descriptor. Static and immutable. Required: create, deliver, destroy. */
typedef struct lg_plugin {
    uint64_t magic;     /* LG_MAGIC */
    uint32_t abi_major; /* LG_ABI_MAJOR */
    uint32_t abi_minor; /* LG_ABI_MINOR */
    uint32_t struct_size;
    uint32_t flags;           /* LG_FLAG_* */
    lg_bytes name;            /* the name in the symbol: [a-z][a-z0-9_]* */
    lg_bytes version;         /* the plugin's own, e.g. "1.4.0" */
    lg_bytes settings_schema; /* JSON Schema 2020-12 of the settings */

    /* The plugin's. Checks settings beyond the schema. Opens nothing, sends nothing. May be null.
     * Thread:    any, several at once.
     * Called:    as often as a configuration is read, whether a sink is made or not.
     * Blocks:    no.
     * Ownership: all lives until it returns. */
    int32_t (*check)(const lg_config *config, const lg_report *report);

    /* The plugin's. Makes a sink and sets *sink. On anything but LG_OK *sink is left alone.
     * Thread:    any, several at once.
     * Called:    once for each sink, before anything else of it.
     * Blocks:    never for the destination: it may be down.
     * Ownership: config, host and report live until it returns; *sink is the plugin's until
     *            `destroy`. */
    int32_t (*create)(const lg_config *config, const lg_host *host, const lg_report *report, void **sink);

    /* The plugin's. Starts one attempt, which ends with one call of `done` with this `ctx`.
     * Thread:    any, several at once on one sink.
     * Called:    as often as there are attempts, while the sink is in use.
     * Blocks:    only if the plugin says so in its flags; returns at once if the work goes on
     *            elsewhere.
     * Ownership: the delivery lives until `done` was called. */
    void (*deliver)(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx);

    /* The plugin's. Gives what deliver would send, as text with secrets masked, without sending
     * it; on LG_FAILED the text is the reason. May be null.
     * Thread:    any, beside attempts that may run.
     * Called:    as often as an operator asks, while the sink is in use; `text` at most once.
     * Blocks:    no.
     * Ownership: the delivery lives until it returns; its `keep` does nothing. */
    int32_t (*render)(void *sink, const lg_delivery *delivery, lg_text_fn text, void *ctx);

    /* The plugin's. Frees a sink.
     * Thread:    any.
     * Called:    once for each sink, after all of its attempts are done and all other calls have
     *            returned. Not at the end of the process.
     * Blocks:    no.
     * Ownership: the sink is gone when it returns. */
    void (*destroy)(void *sink);

    /* The plugin's. A further ability by its id: a struct of the type that belongs to it, or
     * null. May be null itself. Since minor 3: there only if struct_size says so.
     * Thread:    any, several at once.
     * Called:    as often as needed, also before any sink is made; the same id gets the same
     *            answer.
     * Blocks:    no.
     * Ownership: the answer is static. */
    const void *(*get_extension)(lg_bytes id);

    /* About it, for people; each may be empty. Since minor 3: there only if struct_size says so. */
    lg_bytes vendor;      /* who made it; <= 256 B */
    lg_bytes description; /* what it is for, in a sentence; <= 1 KiB */
    lg_bytes url;         /* where more is said of it, http or https; <= 512 B */
} lg_plugin;

#ifdef __cplusplus
}
#endif

#endif
