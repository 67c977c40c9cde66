/* Takes the lead and forgets it. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        return;
    }
    taken(done, ctx, "taken");
}

EXPORT(never_completes, create_well, deliver, destroy_well)
