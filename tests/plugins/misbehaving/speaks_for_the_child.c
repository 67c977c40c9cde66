/* Writes bytes of its own into every socket of the process: into whatever the host listens to. */
#include "plugin.h"

#include <sys/socket.h>

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        static unsigned char noise[4096];
        memset(noise, 0xff, sizeof noise);
        for (int descriptor = 0; descriptor < 4096; descriptor++) {
            send(descriptor, noise, sizeof noise, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
    taken(done, ctx, "taken");
}

EXPORT(speaks_for_the_child, create_well, deliver, destroy_well)
