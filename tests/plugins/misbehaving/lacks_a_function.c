/* Calls a function that no library has. It is looked for when the plugin is loaded, not when the
 * first lead comes. */
#include "plugin.h"

void a_function_that_no_library_has(void);

static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
    if (faulty(sink, delivery)) {
        a_function_that_no_library_has();
    }
    taken(done, ctx, "taken");
}

EXPORT(lacks_a_function, create_well, deliver, destroy_well)
