/* Says how each attempt ended, and says it again while the sink goes and after it is gone. */
#include "plugin.h"

#include <pthread.h>

/* The last attempt. Outlives every sink. */
static lg_done_fn last_done;
static void *last_ctx;

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    (void)sink;
    (void)delivery;
    last_done = done;
    last_ctx = ctx;
    taken(done, ctx, "taken");
}

static void *late(void *nothing) {
    (void)nothing;
    usleep(50 * 1000);
    taken(last_done, last_ctx, "late");
    return NULL;
}

static void destroy(void *sink) {
    pthread_t thread;
    if (last_done != NULL) {
        taken(last_done, last_ctx, "late");
    }
    if (last_done != NULL && pthread_create(&thread, NULL, late, NULL) == 0) {
        pthread_detach(thread);
    }
    free(sink);
}

EXPORT(completes_after_destroy, create_well, deliver, destroy)
