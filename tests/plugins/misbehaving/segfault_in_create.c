/* A wild pointer while a sink is made. */
#include "plugin.h"

static int32_t create(const lg_config *config, const lg_host *host, const lg_report *report, void **made) {
    wild_write();
    return create_well(config, host, report, made);
}

EXPORT(segfault_in_create, create, deliver_well, destroy_well)
