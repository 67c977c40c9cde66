/* Recursion without an end. */
#include "plugin.h"

static int deeper(int depth) {
    volatile char frame[4096];
    frame[depth % 4096] = 1;
    return depth < 0 ? 0 : deeper(depth + 1) + frame[depth % 4096];
}

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        if (deeper(1) == 0) {
            return;
        }
    }
    taken(done, ctx, "taken");
}

EXPORT(overflows_stack, create_well, deliver, destroy_well)
