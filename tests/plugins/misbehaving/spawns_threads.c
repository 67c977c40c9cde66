/* Starts 200 threads in an attempt, which never end. */
#include "plugin.h"

#include <pthread.h>

static void *wait_for_ever(void *nothing) {
    while (pause() == -1) {
    }
    return nothing;
}

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    char receipt[64];
    int started = 0;
    if (faulty(sink, delivery)) {
        pthread_t thread;
        while (started < 200 && pthread_create(&thread, NULL, wait_for_ever, NULL) == 0) {
            pthread_detach(thread);
            started++;
        }
    }
    snprintf(receipt, sizeof receipt, "threads=%d", started);
    taken(done, ctx, receipt);
}

EXPORT(spawns_threads, create_well, deliver, destroy_well)
