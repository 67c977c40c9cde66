/* Says twice how the attempt ended, and not the same. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        taken(done, ctx, "first");
    }
    taken(done, ctx, "taken");
}

EXPORT(completes_twice, create_well, deliver, destroy_well)
