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
#define LG_ABI_MINOR 3u /* 1: lg_report.problem_at; 2: lg_delivery.journal, keep; 3: extensions */

/* Longest journal of a delivery, in bytes. */
#define LG_JOURNAL_MAX 4096u

/* Extensions: abilities that are asked for by id, so that structs stop growing. A host asks the
 * plugin through lg_plugin.get_extension, a plugin the host through lg_host.get_extension. An
 * answer is a static struct of the type named here, or null. */
#define LG_STATE_ID "leadgate.state/1"     /* the host's: const lg_state * */
#define LG_LAUNCHER_ID "leadgate.launcher/1" /* the host's: const lg_launcher * */
#define LG_CONNECT_ID "leadgate.connect/1" /* the plugin's: const lg_connect * */
#define LG_HEALTH_ID "leadgate.health/1"   /* the plugin's: const lg_health * */
#define LG_CANCEL_ID "leadgate.cancel/1"   /* the plugin's: const lg_cancel * */
#define LG_BATCH_ID "leadgate.batch/1"     /* the plugin's: const lg_batch * */
#define LG_BATCH_MAX 1024u       /* deliveries in one batch, whatever lg_batch.max says */
#define LG_STATE_KEY_MAX 64u     /* bytes of a key: a to z, digits, '_', '-' and '.' */
#define LG_STATE_VALUE_MAX 4096u /* bytes of a value */
#define LG_STATE_KEYS_MAX 16u    /* values of a sink */

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

typedef struct lg_bytes {
    const uint8_t *ptr;
    size_t len;
} lg_bytes;

/* What the host offers a sink for as long as the sink lives. Callable from any thread. The
 * struct itself is borrowed during `create`; copy it. */
typedef struct lg_host {
    uint32_t struct_size;
    uint32_t abi_minor; /* the host's */
    void *ctx;          /* first argument of every host function */
    /* Writes a log event: a short English phrase, and a JSON object of fields (or empty). */
    void (*log)(void *ctx, uint32_t level, lg_bytes message, lg_bytes fields);
    /* A further ability by its id: a static struct, or null if the host has it not for this
     * sink. Since minor 3: there only if struct_size says so. */
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

/* Where check and create say what is wrong: one call for each problem, all of them rather
 * than the first. `path` is a JSON pointer into the settings ("" is the whole). */
typedef struct lg_report {
    uint32_t struct_size;
    uint32_t reserved;
    void *ctx;
    /* `message` and `help` may say the same in two languages: English, U+001F, Chinese. */
    void (*problem)(void *ctx, lg_bytes path, lg_bytes message, lg_bytes help);
    /* The same with a place in the text at `path`: its bytes from `start` up to `end`, counted
     * in the text as the plugin got it. Since minor 1: there only if struct_size says so. */
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
    /* Keeps `journal` with the delivery, so that a later attempt of it can go on where this one
     * ends: UTF-8, at most LG_JOURNAL_MAX bytes, instead of what was kept before. Any thread,
     * until `done` was called; later calls, and longer texts, change nothing. It is stored sealed
     * like the lead, at once and at the latest with the end of the attempt, and forgotten when
     * the delivery is delivered. Never put a secret in it. */
    void (*keep)(void *ctx, lg_bytes journal);
    void *keep_ctx; /* first argument of keep */
} lg_delivery;

/* How an attempt ended. Borrowed during `done`; the host copies it. */
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

/* Completes an attempt: exactly once, from any thread, also from inside `deliver`. A second
 * call for the same attempt is logged and ignored. */
typedef void (*lg_done_fn)(void *ctx, const lg_outcome *outcome);

/* Takes text before the function it was passed to returns. */
typedef void (*lg_text_fn)(void *ctx, lg_bytes text);

/* LG_STATE_ID, of the host: small values that a sink keeps from one run to the next, such as a
 * refresh token that the destination has replaced. They are stored sealed like the leads and
 * belong to the sink's name. Only the running daemon has it: a sink that is made for a look
 * (check, render) has no state. Every function takes lg_host.ctx first. Any thread. */
typedef struct lg_state {
    uint32_t struct_size;
    uint32_t reserved;
    /* Gives what is kept under `key` to `value`, once and before it returns, and LG_OK.
     * LG_FAILED without a call if nothing is kept there, or it cannot be read. */
    int32_t (*get)(void *ctx, lg_bytes key, lg_text_fn value, void *value_ctx);
    /* Keeps `value` under `key` instead of what was kept there; an empty one forgets it. On
     * LG_OK it is on disk. LG_FAILED changes nothing: a key or value too long, too many keys, or
     * a store that does not take it. Blocks for as long as the disk takes. */
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

/* One step on the way to a destination. Borrowed during the call that tells it. */
typedef struct lg_step {
    uint32_t struct_size;
    int32_t result;   /* LG_OK or LG_FAILED */
    uint64_t took_ms;
    lg_bytes name;    /* dns, tcp, tls, login, token or another short word; <= 32 B */
    lg_bytes note;    /* why it failed, or what was found; never a secret; <= 1 KiB */
} lg_step;

/* Takes a step before it returns. */
typedef void (*lg_step_fn)(void *ctx, const lg_step *step);

/* LG_CONNECT_ID, of the plugin: whether a sink's destination can be reached and takes our
 * credentials, without sending it anything of a lead. */
typedef struct lg_connect {
    uint32_t struct_size;
    uint32_t reserved;
    /* Connects, and tells each step as it ends, the failed one last. Ends within timeout_ms.
     * LG_OK if all went well, LG_FAILED if a step failed, LG_UNSUPPORTED if the plugin cannot
     * tell. Blocks; called where that is allowed, beside attempts that may run. */
    int32_t (*connect)(void *sink, uint64_t timeout_ms, lg_step_fn step, void *ctx);
} lg_connect;

/* How a sink is. An unknown number counts as failed. */
#define LG_HEALTH_OK 1u       /* it does what it should */
#define LG_HEALTH_DEGRADED 2u /* it works, and a person should look */
#define LG_HEALTH_FAILED 3u   /* it does not work */

/* Takes how a sink is, LG_HEALTH_*, and why in short; <= 1 KiB. */
typedef void (*lg_health_fn)(void *ctx, uint32_t health, lg_bytes why);

/* LG_HEALTH_ID, of the plugin. */
typedef struct lg_health {
    uint32_t struct_size;
    uint32_t reserved;
    void (*health)(void *sink, lg_health_fn say, void *ctx);
} lg_health;

/* LG_CANCEL_ID, of the plugin. */
typedef struct lg_cancel {
    uint32_t struct_size;
    uint32_t reserved;
    void (*cancel)(void *sink, void *ctx);
} lg_cancel;

/* LG_BATCH_ID, of the plugin. */
typedef struct lg_batch {
    uint32_t struct_size;
    uint32_t max; /* deliveries in one call, 2 to LG_BATCH_MAX */
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

    /* Checks settings beyond the schema. Opens nothing, sends nothing. Any thread. May be null. */
    int32_t (*check)(const lg_config *config, const lg_report *report);

    /* Makes a sink and sets *sink. Any thread. Must not wait for the destination: it may be
     * down. On anything but LG_OK *sink is left alone. */
    int32_t (*create)(const lg_config *config, const lg_host *host, const lg_report *report, void **sink);

    /* Starts one attempt. Several may run at once on one sink, from several threads. Returns
     * at once if the work goes on elsewhere, or blocks if the plugin says so in its flags. */
    void (*deliver)(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx);

    /* Gives what deliver would send, as text with secrets masked, without sending it; on
     * LG_FAILED the text is the reason. Any thread. May be null. */
    int32_t (*render)(void *sink, const lg_delivery *delivery, lg_text_fn text, void *ctx);

    /* Frees a sink, after all of its attempts are done. Any thread. Not called at process exit. */
    void (*destroy)(void *sink);

    /* A further ability by its id: a static struct, or null. Any thread. May be null itself.
     * Since minor 3: there only if struct_size says so. */
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
