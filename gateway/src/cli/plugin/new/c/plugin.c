/* The `my-erp` plugin: hands each lead to my ERP.
 *
 * It is a whole plugin already: each event becomes a line in a file. Put your system where the
 * file is; what is around it stays. leadgate_plugin.h is the contract. */

#include "leadgate_plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* What merchants may write; leadgate has checked settings by it before they come here. */
static const char SCHEMA[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"path\"],\"properties\":{"
    "\"path\":{\"type\":\"string\",\"format\":\"path\","
    "\"description\":\"File to which each lead is added as a line.\"}}}";

struct sink {
    char *path;
    lg_host host;
};

static lg_bytes text(const char *string) {
    lg_bytes bytes = {(const uint8_t *)string, strlen(string)};
    return bytes;
}

/* The text at "key" of a flat JSON object, for the caller to free; NULL if it is not there, or has
 * escapes beyond the simple ones. For more than this, take a JSON library. */
static char *json_text(lg_bytes json, const char *key) {
    size_t at = 0;
    char *name = NULL;
    while (at < json.len) {
        if (json.ptr[at] != '"') {
            /* A comma begins the next key. */
            if (json.ptr[at] == ',') {
                free(name);
                name = NULL;
            }
            at++;
            continue;
        }
        char *value = malloc(json.len);
        size_t length = 0;
        if (value == NULL) {
            break;
        }
        for (at++; at < json.len && json.ptr[at] != '"'; at++) {
            char byte = (char)json.ptr[at];
            if (byte == '\\') {
                if (at + 1 >= json.len || strchr("\"\\/", json.ptr[at + 1]) == NULL) {
                    free(value);
                    free(name);
                    return NULL;
                }
                byte = (char)json.ptr[++at];
            }
            value[length++] = byte;
        }
        at++;
        value[length] = 0;
        if (name == NULL) {
            name = value;
        } else if (strcmp(name, key) == 0) {
            free(name);
            return value;
        } else {
            free(value);
        }
    }
    free(name);
    return NULL;
}

/* Checks settings beyond the schema. Opens nothing. */
static int32_t check(const lg_config *config, const lg_report *report) {
    char *path = json_text(config->settings, "path");
    int is_good = path != NULL && path[0] != 0;
    if (!is_good) {
        report->problem(report->ctx, text("/path"), text("this is no path of a file"),
                        text("name a file, such as leads.jsonl"));
    }
    free(path);
    return is_good ? LG_OK : LG_FAILED;
}

static int32_t create(const lg_config *config, const lg_host *host, const lg_report *report,
                      void **made) {
    /* What check refuses cannot be made. */
    if (check(config, report) != LG_OK) {
        return LG_FAILED;
    }
    struct sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        return LG_FAILED;
    }
    sink->path = json_text(config->settings, "path");
    /* Only as much as this host has. */
    memcpy(&sink->host, host,
           host->struct_size < sizeof sink->host ? host->struct_size : sizeof sink->host);
    *made = sink;
    return LG_OK;
}

/* Adds the event as a line, in one piece. */
static int add(const char *path, lg_bytes event) {
    char *line = malloc(event.len + 1);
    FILE *file = line == NULL ? NULL : fopen(path, "ab");
    if (file == NULL) {
        int why = errno;
        free(line);
        return why == 0 ? ENOMEM : why;
    }
    if (event.len > 0) {
        memcpy(line, event.ptr, event.len);
    }
    line[event.len] = '\n';
    setvbuf(file, NULL, _IONBF, 0);
    size_t written = fwrite(line, 1, event.len + 1, file);
    int why = written == event.len + 1 ? 0 : EIO;
    if (fclose(file) != 0 && why == 0) {
        why = errno;
    }
    free(line);
    return why;
}

static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    struct sink *sink = at;
    lg_outcome outcome = {0};
    outcome.struct_size = sizeof outcome;
    outcome.retry_after_ms = -1;
    /* delivery->id is the same at each attempt: give it to your system as idempotency key. */
    int why = add(sink->path, delivery->event);
    if (why == 0) {
        outcome.kind = LG_OUTCOME_DELIVERED;
        outcome.receipt = text("written");
    } else {
        char fields[64];
        snprintf(fields, sizeof fields, "{\"code\":%d}", why);
        sink->host.log(sink->host.ctx, LG_LOG_WARN, text("the file could not be written"),
                       text(fields));
        outcome.kind = LG_OUTCOME_RETRY;
        outcome.rule = text("file");
        outcome.reason = text("the file could not be written");
    }
    done(ctx, &outcome);
}

static void destroy(void *at) {
    struct sink *sink = at;
    free(sink->path);
    free(sink);
}

static const lg_plugin PLUGIN = {
    .magic = LG_MAGIC,
    .abi_major = LG_ABI_MAJOR,
    .abi_minor = LG_ABI_MINOR,
    .struct_size = sizeof(lg_plugin),
    /* Writing a file blocks the thread. */
    .flags = LG_FLAG_BLOCKING,
    .name = TEXT("my_erp"),
    .version = TEXT("0.1.0"),
    .settings_schema = {(const uint8_t *)SCHEMA, sizeof SCHEMA - 1},
    .check = check,
    .create = create,
    .deliver = deliver,
    .destroy = destroy,
    /* What `leadgate plugin list` shows: who made it and what it is for. */
    .vendor = TEXT("Me"),
    .description = TEXT("Hands leads to my ERP"),
};

__attribute__((visibility("default"))) const lg_plugin *leadgate_plugin_my_erp(void);
__attribute__((visibility("default"))) const lg_plugin *leadgate_plugin_my_erp(void) {
    return &PLUGIN;
}
