/* Each attempt takes 64 MiB more and gives nothing back; without memory it ends as most do. */
#include "plugin.h"

#define STEP ((size_t)64 << 20)

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        unsigned char *lost = malloc(STEP);
        if (lost == NULL) {
            abort();
        }
        /* Each page is used, so that the machine really gives it. */
        for (size_t at = 0; at < STEP; at += 4096) {
            ((volatile unsigned char *)lost)[at] = 1;
        }
    }
    taken(done, ctx, "taken");
}

EXPORT(leaks, create_well, deliver, destroy_well)
