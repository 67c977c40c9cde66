/* Ends by SIGKILL, as when the kernel is out of memory. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        kill(getpid(), SIGKILL);
    }
    taken(done, ctx, "taken");
}

EXPORT(kills_itself, create_well, deliver, destroy_well)
