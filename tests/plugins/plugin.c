/* A sink in C, and its broken relatives, each chosen by a macro at compile time.
 *
 * GOOD appends each event and a line break to the file in its settings. It reads the path
 * with the simplest possible scan, because a test needs no JSON library. */

#include "leadgate_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

struct sink {
    FILE *file;
};

static const char SCHEMA[] =
    "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}},"
    "\"additionalProperties\":false}";

static lg_bytes text(const char *string) {
    lg_bytes bytes = {(const uint8_t *)string, strlen(string)};
    return bytes;
}

static int32_t create(const lg_config *config, const lg_host *host, const lg_report *report, void **made) {
    char settings[1024] = {0};
    if (config->settings.len >= sizeof settings) {
        report->problem(report->ctx, text(""), text("settings are too long"), text(""));
        return LG_FAILED;
    }
    memcpy(settings, config->settings.ptr, config->settings.len);
    char *start = strstr(settings, "\"path\":\"");
    char *end = start == NULL ? NULL : strchr(start + 8, '"');
    if (end == NULL) {
        report->problem(report->ctx, text("/path"), text("path is needed"), text("name a file"));
        return LG_FAILED;
    }
    *end = 0;
    struct sink *sink = malloc(sizeof *sink);
    if (sink == NULL) {
        return LG_FAILED;
    }
    sink->file = fopen(start + 8, "a");
    if (sink->file == NULL) {
        free(sink);
        report->problem(report->ctx, text("/path"), text("cannot be opened"), text(""));
        return LG_FAILED;
    }
    host->log(host->ctx, LG_LOG_INFO, text("c sink was made"), text("{}"));
    *made = sink;
    return LG_OK;
}

#ifndef NO_DELIVER
static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    struct sink *sink = at;
    lg_outcome outcome = {0};
    outcome.struct_size = sizeof outcome;
    outcome.retry_after_ms = -1;
    /* One write, so that lines of several threads do not mix. */
    char *line = malloc(delivery->event.len + 1);
    if (line == NULL) {
        outcome.kind = LG_OUTCOME_RETRY;
        done(ctx, &outcome);
        return;
    }
    memcpy(line, delivery->event.ptr, delivery->event.len);
    line[delivery->event.len] = '\n';
    size_t written = fwrite(line, 1, delivery->event.len + 1, sink->file);
    int flushed = fflush(sink->file);
    outcome.kind = written == delivery->event.len + 1 && flushed == 0 ? LG_OUTCOME_DELIVERED : LG_OUTCOME_RETRY;
    outcome.receipt = text("line");
    free(line);
    done(ctx, &outcome);
#ifdef TWICE
    done(ctx, &outcome);
#endif
}
#endif

static void destroy(void *at) {
    struct sink *sink = at;
    fclose(sink->file);
    free(sink);
}

#ifdef OLDER
static const void *never(lg_bytes id) {
    (void)id;
    abort();
}
#endif

static const lg_plugin PLUGIN = {
#ifdef WRONG_MAGIC
    .magic = 1,
#else
    .magic = LG_MAGIC,
#endif
#ifdef WRONG_MAJOR
    .abi_major = 2,
#else
    .abi_major = LG_ABI_MAJOR,
#endif
    .abi_minor =
#ifdef OLDER
        0,
#else
        LG_ABI_MINOR,
#endif
#ifdef TOO_SMALL
    .struct_size = 64,
#elif defined OLDER
    /* As a plugin of minor 0 to 2 says it; what lies behind is not its own. */
    .struct_size = offsetof(lg_plugin, get_extension),
    .get_extension = never,
#else
    .struct_size = sizeof(lg_plugin),
#endif
    .flags = LG_FLAG_BLOCKING,
#ifdef WRONG_NAME
    .name = TEXT("other"),
#else
    .name = TEXT("c_sink"),
#endif
    .version = TEXT("1.0.0"),
    .settings_schema = {(const uint8_t *)SCHEMA, sizeof SCHEMA - 1},
    .create = create,
#ifndef NO_DELIVER
    .deliver = deliver,
#endif
    .destroy = destroy,
};

#ifdef NO_SYMBOL
const lg_plugin *some_other_function(void);
const lg_plugin *some_other_function(void) {
    return &PLUGIN;
}
#else
const lg_plugin *leadgate_plugin_c_sink(void);
const lg_plugin *leadgate_plugin_c_sink(void) {
#ifdef NULL_DESCRIPTOR
    return PLUGIN.magic == 0 ? &PLUGIN : NULL;
#else
    return &PLUGIN;
#endif
}
#endif
