/* A settings schema that is a JSON object and says what no schema can. */
#include "plugin.h"

DESCRIPTOR(schema_not_a_schema, TEXT("{\"type\": 7, \"properties\": \"none\"}"), create_well, deliver_well,
           destroy_well);

DESCRIBE(schema_not_a_schema) {
    return &PLUGIN;
}
