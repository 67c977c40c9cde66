/* Starts 20 processes in an attempt, each in a session of its own with another parent, which
 * never end by themselves. They are called as the setting `name` says. */
#include "plugin.h"

#include <sys/prctl.h>
#include <sys/wait.h>

static int outlives(const char *name) {
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            setsid();
            prctl(PR_SET_PDEATHSIG, 0);
            prctl(PR_SET_NAME, name);
            /* An hour, if nobody ends it: no test leaves it behind for ever. */
            sleep(3600);
        }
        _exit(0);
    }
    return child > 0 && waitpid(child, NULL, 0) == child;
}

static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    const struct sink *sink = at;
    char receipt[64];
    int started = 0;
    if (faulty(sink, delivery)) {
        while (started < 20 && outlives(sink->name)) {
            started++;
        }
    }
    snprintf(receipt, sizeof receipt, "processes=%d", started);
    taken(done, ctx, receipt);
}

EXPORT(spawns_processes, create_well, deliver, destroy_well)
