/* leadgate_plugin.h: the leadgate plugin ABI, version 1.0.
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
#define LG_ABI_MINOR 0u

/* lg_plugin.flags: `deliver` blocks its thread; the host calls it where blocking is allowed. */
#define LG_FLAG_BLOCKING 1u

/* What check, create and render return. */
#define LG_OK 0       /* done */
#define LG_FAILED 1   /* refused; the reason was given through the callback */
#define LG_PANICKED 2 /* broken; the sink must not be used any more */

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
    void (*problem)(void *ctx, lg_bytes path, lg_bytes message, lg_bytes help);
} lg_report;

/* One attempt. The struct and all it borrows live until `done` was called for it. */
typedef struct lg_delivery {
    uint32_t struct_size;
    uint32_t attempt;    /* 1 for the first */
    uint64_t timeout_ms; /* the host stops waiting then and records the attempt as ambiguous */
    lg_bytes id;         /* stable over all attempts: the idempotency key */
    lg_bytes event;      /* JSON object; see event.schema.json */
    lg_bytes trace_id;   /* 32 hex digits, for the destination's logs; may be empty */
} lg_delivery;

/* How an attempt ended. Borrowed during `done`; the host copies it. */
typedef struct lg_outcome {
    uint32_t struct_size;
    uint32_t kind;          /* LG_OUTCOME_* */
    int64_t retry_after_ms; /* the wait the destination asked for; negative if none */
    lg_bytes receipt;       /* what is worth keeping, e.g. the destination's id; <= 4 KiB */
    lg_bytes reason;        /* why, in short, for a person; <= 1 KiB */
    lg_bytes rule;          /* the rule that decided, e.g. "status-5xx"; <= 128 B */
    lg_bytes request;       /* what was sent, in short and redacted; <= 4 KiB */
    lg_bytes response;      /* what was answered, in short and redacted; <= 4 KiB */
} lg_outcome;

/* Completes an attempt: exactly once, from any thread, also from inside `deliver`. A second
 * call for the same attempt is logged and ignored. */
typedef void (*lg_done_fn)(void *ctx, const lg_outcome *outcome);

/* Takes text before the function it was passed to returns. */
typedef void (*lg_text_fn)(void *ctx, lg_bytes text);

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
} lg_plugin;

#ifdef __cplusplus
}
#endif

#endif
