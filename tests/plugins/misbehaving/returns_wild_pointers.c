/* An outcome whose texts are nowhere: whoever reads them dies. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        lg_outcome outcome = {0};
        outcome.struct_size = 0xffffffffu;
        outcome.kind = LG_OUTCOME_RETRY;
        outcome.reason.ptr = (const uint8_t *)(uintptr_t)8;
        outcome.reason.len = SIZE_MAX / 2;
        done(ctx, &outcome);
        return;
    }
    taken(done, ctx, "taken");
}

EXPORT(returns_wild_pointers, create_well, deliver, destroy_well)
