/* Every text of its outcome has a gigabyte, as far as there is memory. */
#include "plugin.h"

#define LARGE ((size_t)1 << 30)

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (!faulty(sink, delivery)) {
        taken(done, ctx, "taken");
        return;
    }
    size_t size = LARGE;
    char *large = NULL;
    while (size > 0 && (large = malloc(size)) == NULL) {
        size /= 2;
    }
    if (large == NULL) {
        abort();
    }
    memset(large, 'a', size);
    lg_outcome outcome = {0};
    outcome.struct_size = sizeof outcome;
    outcome.kind = LG_OUTCOME_RETRY;
    outcome.retry_after_ms = -1;
    lg_bytes bytes = {(const uint8_t *)large, size};
    outcome.receipt = outcome.reason = outcome.rule = outcome.request = outcome.response = bytes;
    done(ctx, &outcome);
    free(large);
}

EXPORT(answers_a_gigabyte, create_well, deliver, destroy_well)
