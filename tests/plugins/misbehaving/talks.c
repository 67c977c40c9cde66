/* Writes the whole lead to stdout, to stderr and into the host's log: as lines, as one line of
 * a megabyte, without a line's end, and as bytes that are no text. */
#include "plugin.h"

static void say(int descriptor, const void *bytes, size_t count) {
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(descriptor, at, count);
        if (written <= 0) {
            return;
        }
        at += written;
        count -= (size_t)written;
    }
}

static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    const struct sink *sink = at;
    if (faulty(sink, delivery)) {
        static const char noise[] = "\xff\xfe\x00\x01 noise \xc3\n";
        size_t size = delivery->event.len;
        for (int descriptor = 1; descriptor <= 2; descriptor++) {
            say(descriptor, "the lead is ", 12);
            say(descriptor, delivery->event.ptr, size);
            say(descriptor, "\n", 1);
            for (size_t written = 0; written < (size_t)1 << 20; written += size) {
                say(descriptor, delivery->event.ptr, size);
            }
            say(descriptor, "\n", 1);
            say(descriptor, noise, sizeof noise - 1);
            say(descriptor, delivery->event.ptr, size);
        }
        sink->host.log(sink->host.ctx, LG_LOG_ERROR, delivery->event, delivery->event);
    }
    taken(done, ctx, "taken");
}

EXPORT(talks, create_well, deliver, destroy_well)
