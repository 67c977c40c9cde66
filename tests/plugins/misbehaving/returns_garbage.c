/* Outcomes that are none: no struct, sizes and kinds that do not exist, text that is no text.
 * The attempt's number chooses. Nothing here points to where nothing is. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    static uint8_t noise[1 << 20];
    lg_outcome outcome = {0};
    if (!faulty(sink, delivery)) {
        taken(done, ctx, "taken");
        return;
    }
    for (size_t at = 0; at < sizeof noise; at++) {
        noise[at] = (uint8_t)(at * 2654435761u >> 13);
    }
    lg_bytes wild = {noise, sizeof noise};
    outcome.struct_size = sizeof outcome;
    outcome.kind = LG_OUTCOME_RETRY;
    outcome.retry_after_ms = -1;
    outcome.receipt = outcome.reason = outcome.rule = outcome.request = outcome.response = wild;
    switch (delivery->attempt % 6) {
    case 1:
        done(ctx, NULL);
        return;
    case 2:
        outcome.struct_size = 3;
        break;
    case 3:
        outcome.kind = 0xfffffffeu;
        break;
    case 4:
        /* Nearly all of the outcome is missing. */
        outcome.struct_size = offsetof(lg_outcome, receipt) + 1;
        break;
    case 5:
        /* A length without a place. */
        outcome.reason.ptr = NULL;
        outcome.reason.len = SIZE_MAX;
        break;
    default:
        break;
    }
    done(ctx, &outcome);
}

EXPORT(returns_garbage, create_well, deliver, destroy_well)
