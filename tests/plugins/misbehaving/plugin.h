/* What the misbehaving plugins share: all that is well with them.
 *
 * Each .c file beside this is one plugin with one fault, and has the fault's name. A sink of it
 * shows the fault in the first attempt at each delivery and takes the lead in the next one; the
 * setting `faulty_attempts` says another number of attempts. Settings are read with the simplest
 * possible scan, because a test needs no JSON library. */
#ifndef MISBEHAVING_PLUGIN_H
#define MISBEHAVING_PLUGIN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "leadgate_plugin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{"                                                        \
    "\"faulty_attempts\":{\"type\":\"integer\"},\"port\":{\"type\":\"integer\"},"                  \
    "\"file\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"}},"                              \
    "\"additionalProperties\":false}"

struct sink {
    unsigned long faulty_attempts;
    unsigned long port;
    char file[512];
    char name[64];
    lg_host host;
};

static inline lg_bytes text(const char *string) {
    lg_bytes bytes = {(const uint8_t *)string, strlen(string)};
    return bytes;
}

/* Where the value of a setting begins, or null. */
static inline const char *setting(const char *settings, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(settings, key);
    return at == NULL ? NULL : at + strlen(key);
}

static inline unsigned long number(const char *settings, const char *name, unsigned long otherwise) {
    const char *at = setting(settings, name);
    return at == NULL ? otherwise : strtoul(at, NULL, 10);
}

static inline void word(const char *settings, const char *name, char *into, size_t size) {
    const char *at = setting(settings, name);
    const char *end = at == NULL ? NULL : strchr(at + 1, '"');
    into[0] = 0;
    if (end != NULL && (size_t)(end - at) <= size) {
        memcpy(into, at + 1, (size_t)(end - at) - 1);
        into[end - at - 1] = 0;
    }
}

static inline int32_t create_well(const lg_config *config, const lg_host *host, const lg_report *report,
                                  void **made) {
    char settings[2048] = {0};
    struct sink *sink = calloc(1, sizeof *sink);
    size_t size = config->settings.len;
    if (sink == NULL || size == 0 || size >= sizeof settings || config->settings.ptr[size - 1] != '}') {
        free(sink);
        report->problem(report->ctx, text(""), text("these are no settings"), text(""));
        return LG_FAILED;
    }
    memcpy(settings, config->settings.ptr, size);
    sink->faulty_attempts = number(settings, "faulty_attempts", 1);
    sink->port = number(settings, "port", 0);
    word(settings, "file", sink->file, sizeof sink->file);
    word(settings, "name", sink->name, sizeof sink->name);
    sink->host = *host;
    *made = sink;
    return LG_OK;
}

static inline void destroy_well(void *sink) {
    free(sink);
}

/* Whether this attempt has the fault. */
static inline int faulty(const void *at, const lg_delivery *delivery) {
    const struct sink *sink = at;
    return delivery->attempt <= sink->faulty_attempts;
}

/* The lead is taken, with this receipt. */
static inline void taken(lg_done_fn done, void *ctx, const char *receipt) {
    lg_outcome outcome = {0};
    outcome.struct_size = sizeof outcome;
    outcome.kind = LG_OUTCOME_DELIVERED;
    outcome.retry_after_ms = -1;
    outcome.receipt = text(receipt);
    done(ctx, &outcome);
}

/* A descriptor called PLUGIN. */
#define DESCRIPTOR(NAME, SETTINGS, CREATE, DELIVER, DESTROY)                                       \
    static const lg_plugin PLUGIN = {                                                              \
        .magic = LG_MAGIC,                                                                         \
        .abi_major = LG_ABI_MAJOR,                                                                 \
        .abi_minor = LG_ABI_MINOR,                                                                 \
        .struct_size = sizeof(lg_plugin),                                                          \
        .flags = LG_FLAG_BLOCKING,                                                                 \
        .name = TEXT(#NAME),                                                                       \
        .version = TEXT("1.0.0"),                                                                  \
        .settings_schema = SETTINGS,                                                               \
        .create = CREATE,                                                                          \
        .deliver = DELIVER,                                                                        \
        .destroy = DESTROY,                                                                        \
    }

/* The head of the function that the host looks for. */
#define DESCRIBE(NAME)                                                                             \
    const lg_plugin *leadgate_plugin_##NAME(void);                                                 \
    const lg_plugin *leadgate_plugin_##NAME(void)

/* A plugin that is well until a sink of it is made or used. */
#define EXPORT(NAME, CREATE, DELIVER, DESTROY)                                                     \
    DESCRIPTOR(NAME, TEXT(SCHEMA), CREATE, DELIVER, DESTROY);                                      \
    DESCRIBE(NAME) {                                                                               \
        return &PLUGIN;                                                                            \
    }

/* Takes every lead. */
static inline void deliver_well(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    (void)sink;
    (void)delivery;
    taken(done, ctx, "taken");
}

/* SIGSEGV, as a wild pointer gives it. */
static inline void wild_write(void) {
    *(volatile int *)(uintptr_t)8 = 1;
}

/* For ever, with the processor. */
static inline void spin(void) {
    for (volatile unsigned turns = 0;; turns++) {
    }
}

#endif
