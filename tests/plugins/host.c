/* A host in C: as much of one as valgrind and AddressSanitizer need to see a plugin's whole life.
 *
 *     host LIBRARY NAME SETTINGS EVENTS DELIVERIES
 *
 * SETTINGS is a JSON object, EVENTS a file with one event a line. Makes a sink twice (with settings
 * it refuses, and with these), delivers each event from several threads at once, asks for what may
 * be absent, and destroys the sink. What is lent to the plugin is freed as early as the contract
 * allows, so that a plugin which keeps a pointer reads freed memory. Ends with one line of what it
 * counted; exits with 0 if every attempt was delivered, once. */
#define _GNU_SOURCE
#include "leadgate_plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4
#define MOST 1024u /* events */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static unsigned delivered, failed, twice, problems, logged, kept, texts;

static void fail(const char *what) {
    fprintf(stderr, "host: %s\n", what);
    exit(1);
}

/* Memory of its own for what is lent, so that a read beyond it, or after it, is seen. */
static lg_bytes lend(const char *text) {
    lg_bytes bytes = {NULL, strlen(text)};
    uint8_t *copy = malloc(bytes.len);
    if (copy == NULL && bytes.len > 0) {
        fail("no memory");
    }
    memcpy(copy, text, bytes.len);
    bytes.ptr = copy;
    return bytes;
}

static void take_back(lg_bytes bytes) {
    free((void *)(uintptr_t)bytes.ptr);
}

/* Reads every byte that the plugin hands over. */
static unsigned sum(lg_bytes bytes) {
    unsigned all = 0;
    for (size_t at = 0; at < bytes.len; at++) {
        all += bytes.ptr[at];
    }
    return all;
}

static volatile unsigned seen;

static void log_event(void *ctx, uint32_t level, lg_bytes message, lg_bytes fields) {
    (void)ctx;
    (void)level;
    pthread_mutex_lock(&lock);
    seen += sum(message) + sum(fields);
    logged++;
    pthread_mutex_unlock(&lock);
}

static const void *no_extension(void *ctx, lg_bytes id) {
    (void)ctx;
    seen += sum(id);
    return NULL;
}

static void problem(void *ctx, lg_bytes path, lg_bytes message, lg_bytes help) {
    (void)ctx;
    seen += sum(path) + sum(message) + sum(help);
    problems++;
}

static void problem_at(void *ctx, lg_bytes path, uint64_t start, uint64_t end, lg_bytes message, lg_bytes help) {
    (void)start;
    (void)end;
    problem(ctx, path, message, help);
}

static void keep(void *ctx, lg_bytes journal) {
    (void)ctx;
    pthread_mutex_lock(&lock);
    seen += sum(journal);
    kept++;
    pthread_mutex_unlock(&lock);
}

static void take_text(void *ctx, lg_bytes text) {
    (void)ctx;
    seen += sum(text);
    texts++;
}

/* One attempt. Whoever comes last, the starter or the completion, frees it. */
struct attempt {
    lg_delivery *delivery;
    int outcomes;
};

static void done(void *ctx, const lg_outcome *outcome) {
    struct attempt *attempt = ctx;
    pthread_mutex_lock(&lock);
    seen += sum(outcome->receipt) + sum(outcome->reason) + sum(outcome->rule) + sum(outcome->request) +
            sum(outcome->response);
    if (attempt->outcomes++ > 0) {
        twice++;
    } else if (outcome->kind == LG_OUTCOME_DELIVERED) {
        delivered++;
    } else {
        failed++;
        fprintf(stderr, "host: kind %u: %.*s\n", outcome->kind, (int)outcome->reason.len,
                (const char *)outcome->reason.ptr);
    }
    /* What the attempt borrowed may go now. */
    if (attempt->delivery != NULL) {
        take_back(attempt->delivery->id);
        take_back(attempt->delivery->event);
        take_back(attempt->delivery->trace_id);
        take_back(attempt->delivery->journal);
        free(attempt->delivery);
        attempt->delivery = NULL;
    }
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
}

static lg_delivery *lent_delivery(unsigned number, const char *event) {
    char id[64];
    snprintf(id, sizeof id, "0190a000-0000-7000-8000-%012u", number);
    lg_delivery *delivery = calloc(1, sizeof *delivery);
    if (delivery == NULL) {
        fail("no memory");
    }
    delivery->struct_size = sizeof *delivery;
    delivery->attempt = 1;
    delivery->timeout_ms = 60000;
    delivery->id = lend(id);
    delivery->event = lend(event);
    delivery->trace_id = lend("0123456789abcdef0123456789abcdef");
    delivery->journal = lend("");
    delivery->keep = keep;
    return delivery;
}

static const lg_plugin *plugin;
static void *sink;
static char *events[MOST + 1];
static unsigned lines, deliveries, next;
static struct attempt *attempts;

static void *deliverer(void *nothing) {
    for (;;) {
        pthread_mutex_lock(&lock);
        unsigned number = next++;
        pthread_mutex_unlock(&lock);
        if (number >= deliveries) {
            return nothing;
        }
        attempts[number].delivery = lent_delivery(number, events[number % lines]);
        plugin->deliver(sink, attempts[number].delivery, done, &attempts[number]);
    }
}

static int32_t make(const char *settings, void **made) {
    lg_bytes name = lend("crm"), said = lend(settings), tables = lend("{}");
    lg_config config = {sizeof config, 0, name, said, tables};
    lg_host host = {sizeof host, LG_ABI_MINOR, NULL, log_event, no_extension};
    lg_report report = {sizeof report, 0, NULL, problem, problem_at};
    if (plugin->check != NULL) {
        plugin->check(&config, &report);
    }
    int32_t code = plugin->create(&config, &host, &report, made);
    take_back(name);
    take_back(said);
    take_back(tables);
    return code;
}

static void read_events(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail("the events cannot be read");
    }
    size_t size = 0;
    while (lines < MOST) {
        ssize_t length = getline(&events[lines], &size, file);
        if (length <= 0) {
            break;
        }
        events[lines][strcspn(events[lines], "\n")] = 0;
        lines++;
        size = 0;
    }
    free(events[lines]);
    fclose(file);
    if (lines == 0) {
        fail("there are no events");
    }
}

int main(int count, char **args) {
    if (count != 6) {
        fail("usage: host LIBRARY NAME SETTINGS EVENTS DELIVERIES");
    }
    char symbol[256];
    snprintf(symbol, sizeof symbol, "leadgate_plugin_%s", args[2]);
    read_events(args[4]);
    deliveries = (unsigned)strtoul(args[5], NULL, 10);
    attempts = calloc(deliveries, sizeof *attempts);

    void *library = dlopen(args[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fail(dlerror());
    }
    const lg_plugin *(*describe)(void);
    *(void **)&describe = dlsym(library, symbol);
    if (describe == NULL) {
        fail(dlerror());
    }
    plugin = describe();
    if (plugin == NULL || plugin->magic != LG_MAGIC || plugin->abi_major != LG_ABI_MAJOR) {
        fail("the descriptor does not fit");
    }
    seen += sum(plugin->name) + sum(plugin->version) + sum(plugin->settings_schema);
    if (describe() != plugin) {
        fail("the descriptor is another one at the second call");
    }
    if (plugin->struct_size > offsetof(lg_plugin, get_extension) && plugin->get_extension != NULL) {
        lg_bytes id = lend("leadgate.nobody-has-this/1");
        if (plugin->get_extension(id) != NULL) {
            fail("it has an extension that does not exist");
        }
        take_back(id);
    }

    void *refused = NULL;
    if (make("{\"no such setting\":1", &refused) == LG_OK) {
        fail("it took settings that are no JSON");
    }
    unsigned said = problems;
    if (said == 0) {
        fail("it refused settings without a reason");
    }
    if (make(args[3], &sink) != LG_OK) {
        fail("the sink cannot be made");
    }
    pthread_t threads[THREADS];
    for (int thread = 0; thread < THREADS; thread++) {
        pthread_create(&threads[thread], NULL, deliverer, NULL);
    }
    for (int thread = 0; thread < THREADS; thread++) {
        pthread_join(threads[thread], NULL);
    }
    pthread_mutex_lock(&lock);
    while (delivered + failed < deliveries) {
        pthread_cond_wait(&ended, &lock);
    }
    pthread_mutex_unlock(&lock);
    if (plugin->render != NULL) {
        struct attempt look = {lent_delivery(0, events[0]), 0};
        plugin->render(sink, look.delivery, take_text, NULL);
        take_back(look.delivery->id);
        take_back(look.delivery->event);
        take_back(look.delivery->trace_id);
        take_back(look.delivery->journal);
        free(look.delivery);
    }
    plugin->destroy(sink);
    for (unsigned line = 0; line < lines; line++) {
        free(events[line]);
    }
    free(attempts);
    printf("%s: %u of %u delivered, %u twice, %u problems told, %u logged, %u kept, %u rendered\n", args[2],
           delivered, deliveries, twice, problems, logged, kept, texts);
    return delivered == deliveries && twice == 0 ? 0 : 1;
}
