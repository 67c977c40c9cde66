/* Never comes back, and takes a processor. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        spin();
    }
    taken(done, ctx, "taken");
}

EXPORT(hangs_in_deliver, create_well, deliver, destroy_well)
