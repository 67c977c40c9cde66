/* Ends the process as if all were well. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        exit(0);
    }
    taken(done, ctx, "taken");
}

EXPORT(exits, create_well, deliver, destroy_well)
