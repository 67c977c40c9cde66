/* The plugin without leadgate: a host of a few lines makes a sink and delivers to it. */

#define _POSIX_C_SOURCE 200809L

#include "leadgate_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const lg_plugin *leadgate_plugin_my_erp(void);

#define EXPECT(condition)                                                       \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static lg_bytes text(const char *string) {
    lg_bytes bytes = {(const uint8_t *)string, strlen(string)};
    return bytes;
}

static void logged(void *ctx, uint32_t level, lg_bytes message, lg_bytes fields) {
    (void)ctx;
    (void)level;
    printf("log: %.*s %.*s\n", (int)message.len, (const char *)message.ptr, (int)fields.len,
           (const char *)fields.ptr);
}

static void problem(void *ctx, lg_bytes path, lg_bytes message, lg_bytes help) {
    (void)help;
    (*(int *)ctx)++;
    printf("problem: %.*s: %.*s\n", (int)path.len, (const char *)path.ptr, (int)message.len,
           (const char *)message.ptr);
}

/* How the attempts ended. */
struct ended {
    int times;
    uint32_t kind;
};

static void done(void *ctx, const lg_outcome *outcome) {
    struct ended *ended = ctx;
    ended->times++;
    ended->kind = outcome->kind;
}

int main(void) {
    const lg_plugin *plugin = leadgate_plugin_my_erp();
    char path[] = "/tmp/my-erp-test-XXXXXX";
    int made = mkstemp(path);
    EXPECT(made >= 0);
    close(made);

    int problems = 0;
    lg_report report = {0};
    report.struct_size = sizeof report;
    report.ctx = &problems;
    report.problem = problem;
    lg_host host = {0};
    host.struct_size = sizeof host;
    host.abi_minor = LG_ABI_MINOR;
    host.log = logged;
    lg_config config = {0};
    config.struct_size = sizeof config;
    config.sink = text("erp");
    config.tables = text("{}");

    /* Settings that are not good are refused with a reason. */
    config.settings = text("{\"path\":\"\"}");
    void *sink = NULL;
    EXPECT(plugin->check(&config, &report) == LG_FAILED && problems == 1);
    EXPECT(plugin->create(&config, &host, &report, &sink) == LG_FAILED && sink == NULL);

    /* A lead becomes a line. */
    char settings[256];
    snprintf(settings, sizeof settings, "{\"path\":\"%s\"}", path);
    config.settings = text(settings);
    EXPECT(plugin->create(&config, &host, &report, &sink) == LG_OK && sink != NULL);
    lg_delivery delivery = {0};
    delivery.struct_size = sizeof delivery;
    delivery.attempt = 1;
    delivery.timeout_ms = 1000;
    delivery.id = text("d1");
    delivery.event = text("{\"lead\":{\"record_id\":371009}}");
    struct ended ended = {0, 0};
    plugin->deliver(sink, &delivery, done, &ended);
    EXPECT(ended.times == 1 && ended.kind == LG_OUTCOME_DELIVERED);
    plugin->destroy(sink);

    char line[256] = {0};
    FILE *file = fopen(path, "r");
    EXPECT(file != NULL && fgets(line, sizeof line, file) != NULL);
    fclose(file);
    EXPECT(strcmp(line, "{\"lead\":{\"record_id\":371009}}\n") == 0);
    remove(path);
    puts("ok");
    return 0;
}
