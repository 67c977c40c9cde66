/* Never says what it is. */
#include "plugin.h"

DESCRIPTOR(hangs_in_describe, TEXT(SCHEMA), create_well, deliver_well, destroy_well);

DESCRIBE(hangs_in_describe) {
    spin();
    return &PLUGIN;
}
