/* A wild pointer while a lead is delivered. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        wild_write();
    }
    taken(done, ctx, "taken");
}

EXPORT(segfault_in_deliver, create_well, deliver, destroy_well)
