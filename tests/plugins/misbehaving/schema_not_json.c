/* A settings schema that is no JSON. */
#include "plugin.h"

DESCRIPTOR(schema_not_json, TEXT("{\"type\": object}"), create_well, deliver_well, destroy_well);

DESCRIBE(schema_not_json) {
    return &PLUGIN;
}
