/* A settings schema that is JSON and no schema. */
#include "plugin.h"

DESCRIPTOR(schema_not_an_object, TEXT("[\"type\", \"object\"]"), create_well, deliver_well, destroy_well);

DESCRIBE(schema_not_an_object) {
    return &PLUGIN;
}
