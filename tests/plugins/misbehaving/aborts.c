/* Gives up the process, as a failed assertion or an uncaught exception does. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        abort();
    }
    taken(done, ctx, "taken");
}

EXPORT(aborts, create_well, deliver, destroy_well)
