/* Forks in the middle of an attempt, and both of them go on as if nothing had happened. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        pid_t child = fork();
        taken(done, ctx, child == 0 ? "child" : child > 0 ? "parent" : "alone");
        return;
    }
    taken(done, ctx, "taken");
}

EXPORT(forks, create_well, deliver, destroy_well)
