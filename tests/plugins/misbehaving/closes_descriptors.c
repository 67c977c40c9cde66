/* Closes every descriptor of the process, whoever it belongs to. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        for (int descriptor = 0; descriptor < 4096; descriptor++) {
            close(descriptor);
        }
    }
    taken(done, ctx, "taken");
}

EXPORT(closes_descriptors, create_well, deliver, destroy_well)
