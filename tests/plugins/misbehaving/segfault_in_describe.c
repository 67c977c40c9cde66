/* A wild pointer before anything is known of the plugin. */
#include "plugin.h"

DESCRIPTOR(segfault_in_describe, TEXT(SCHEMA), create_well, deliver_well, destroy_well);

DESCRIBE(segfault_in_describe) {
    wild_write();
    return &PLUGIN;
}
