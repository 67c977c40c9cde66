/* A wild pointer while a sink is made, but only once a lead was delivered: a sink that was well
 * when the daemon started, and whose every restart fails. The file of the setting says so. */
#include "plugin.h"

static int32_t create(const lg_config *config, const lg_host *host, const lg_report *report, void **made) {
    int32_t code = create_well(config, host, report, made);
    if (code == LG_OK && access(((struct sink *)*made)->file, F_OK) == 0) {
        wild_write();
    }
    return code;
}

static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    const struct sink *sink = at;
    if (faulty(sink, delivery)) {
        FILE *file = fopen(sink->file, "w");
        if (file == NULL) {
            taken(done, ctx, "the file cannot be written");
            return;
        }
        fclose(file);
        wild_write();
    }
    taken(done, ctx, "taken");
}

EXPORT(segfault_in_create_again, create, deliver, destroy_well)
