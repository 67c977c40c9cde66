/* A plugin that takes every lead at once: what is measured is the way to it and back. */
#include "leadgate_plugin.h"

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

static int32_t create(const lg_config *config, const lg_host *host, const lg_report *report, void **made) {
    static char nothing;
    (void)config;
    (void)host;
    (void)report;
    *made = &nothing;
    return LG_OK;
}

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    lg_outcome outcome = {0};
    (void)sink;
    (void)delivery;
    outcome.struct_size = sizeof outcome;
    outcome.kind = LG_OUTCOME_DELIVERED;
    outcome.retry_after_ms = -1;
    done(ctx, &outcome);
}

static void destroy(void *sink) {
    (void)sink;
}

static const lg_plugin PLUGIN = {
    .magic = LG_MAGIC,
    .abi_major = LG_ABI_MAJOR,
    .abi_minor = LG_ABI_MINOR,
    .struct_size = sizeof(lg_plugin),
    .name = TEXT("bar"),
    .version = TEXT("1"),
    .settings_schema = TEXT("{\"type\":\"object\"}"),
    .create = create,
    .deliver = deliver,
    .destroy = destroy,
};

const lg_plugin *leadgate_plugin_bar(void);
const lg_plugin *leadgate_plugin_bar(void) {
    return &PLUGIN;
}
