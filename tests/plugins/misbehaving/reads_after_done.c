/* Reads what it had borrowed after it has completed the attempt. In the gateway this is mostly
 * not seen; a tool that watches memory sees it. */
#include "plugin.h"

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    lg_bytes event = delivery->event;
    (void)sink;
    taken(done, ctx, "taken");
    (void)*(const volatile uint8_t *)(event.ptr + event.len / 2);
}

EXPORT(reads_after_done, create_well, deliver, destroy_well)
