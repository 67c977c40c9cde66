/* A settings schema of 4 MiB: good JSON, and nobody's settings. */
#include "plugin.h"

#define HEAD "{\"type\":\"object\",\"description\":\""
#define TAIL "\"}"
#define SIZE ((size_t)4 << 20)

static uint8_t schema[SIZE];

#define LARGE {schema, SIZE}

DESCRIPTOR(schema_too_large, LARGE, create_well, deliver_well, destroy_well);

DESCRIBE(schema_too_large) {
    memset(schema, 'a', SIZE);
    memcpy(schema, HEAD, sizeof HEAD - 1);
    memcpy(schema + SIZE - (sizeof TAIL - 1), TAIL, sizeof TAIL - 1);
    return &PLUGIN;
}
