/* Looks for what is not its own, and says in the receipt what it got: each word is a place, 1
 * if it got something there. The setting `file` names a file of the outbox, `name` a variable
 * of the daemon's environment. */
#include "plugin.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>

/* Whether something can be read there. */
static int readable(const char *path) {
    char byte;
    int file = open(path, O_RDONLY | O_NONBLOCK);
    if (file < 0) {
        return 0;
    }
    int got = read(file, &byte, 1) == 1;
    close(file);
    return got;
}

static int writable(const char *path) {
    int file = open(path, O_WRONLY | O_APPEND);
    if (file < 0) {
        return 0;
    }
    close(file);
    return 1;
}

/* Whether a file that this process has open, beside the first three, is an outbox or a
 * configuration. */
static int inherited(const char *outbox) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s", outbox);
    char *end = strrchr(folder, '/');
    if (end != NULL) {
        *end = 0;
    }
    int found = 0;
    for (int descriptor = 3; descriptor < 4096 && *folder != 0; descriptor++) {
        char link[64], target[512];
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length > 0) {
            target[length] = 0;
            found |= strstr(target, folder) != NULL;
        }
    }
    return found;
}

static int environment_of(pid_t process, const char *name) {
    char path[64];
    static char bytes[1 << 16];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)process);
    int file = open(path, O_RDONLY);
    if (file < 0) {
        return 0;
    }
    ssize_t count = read(file, bytes, sizeof bytes);
    close(file);
    return count > 0 && *name != 0 && memmem(bytes, (size_t)count, name, strlen(name)) != NULL;
}

static void deliver(void *at, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    const struct sink *sink = at;
    (void)delivery;
    pid_t parent = getppid();
    char memory[64], receipt[512], folder[512], config[600];
    snprintf(memory, sizeof memory, "/proc/%d/mem", (int)parent);
    snprintf(folder, sizeof folder, "%s", sink->file);
    char *end = strrchr(folder, '/');
    if (end != NULL) {
        *end = 0;
    }
    snprintf(config, sizeof config, "%s/../leadgate.toml", folder);
    DIR *listed = opendir(folder);
    int list = listed != NULL && readdir(listed) != NULL;
    if (listed != NULL) {
        closedir(listed);
    }
    int memory_of = open(memory, O_RDONLY);
    int traced = ptrace(PTRACE_SEIZE, parent, 0, 0) == 0;
    snprintf(receipt, sizeof receipt,
             "environment=%d own-environ=%d parent-environ=%d parent-memory=%d parent-traced=%d "
             "parent-signalled=%d outbox-read=%d outbox-written=%d outbox-listed=%d "
             "outbox-inherited=%d configuration=%d passwords=%d",
             getenv(sink->name) != NULL, environment_of(getpid(), sink->name),
             environment_of(parent, sink->name), memory_of >= 0, traced, kill(parent, 0) == 0,
             readable(sink->file), writable(sink->file), list, inherited(sink->file),
             readable(config), readable("/etc/shadow"));
    taken(done, ctx, receipt);
}

EXPORT(spies, create_well, deliver, destroy_well)
