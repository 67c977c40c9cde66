/* A wild pointer while the library is loaded, before any of its functions is called. */
#include "plugin.h"

__attribute__((constructor)) static void loaded(void) {
    wild_write();
}

EXPORT(segfault_when_loaded, create_well, deliver_well, destroy_well)
