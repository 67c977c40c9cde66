/* Ends the process without any clearing up. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        _exit(3);
    }
    taken(done, ctx, "taken");
}

EXPORT(exits_at_once, create_well, deliver, destroy_well)
