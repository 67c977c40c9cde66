/* Never ends making a sink. */
#include "plugin.h"

static int32_t create(const lg_config *config, const lg_host *host, const lg_report *report, void **made) {
    spin();
    return create_well(config, host, report, made);
}

EXPORT(hangs_in_create, create, deliver_well, destroy_well)
