/* Ends the process, as if all were well, instead of saying what it is. */
#include "plugin.h"

DESCRIPTOR(exits_in_describe, TEXT(SCHEMA), create_well, deliver_well, destroy_well);

DESCRIBE(exits_in_describe) {
    exit(0);
    return &PLUGIN;
}
