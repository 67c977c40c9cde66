/* Connects to the port of its settings, and says in the receipt what came of it. */
#include "plugin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    const struct sink *sink = at;
    (void)delivery;
    char receipt[64];
    struct sockaddr_in address = {0};
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)sink->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    int connected = descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    snprintf(receipt, sizeof receipt, connected ? "connected" : "errno=%d", errno);
    if (descriptor >= 0) {
        close(descriptor);
    }
    taken(done, ctx, receipt);
}

EXPORT(connects, create_well, deliver, destroy_well)
