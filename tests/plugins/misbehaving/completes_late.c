/* Completes each attempt only after the host has stopped waiting for it. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        usleep((useconds_t)(delivery->timeout_ms + 300) * 1000);
    }
    taken(done, ctx, "late");
}

EXPORT(completes_late, create_well, deliver, destroy_well)
