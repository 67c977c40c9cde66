/* A program for `exec` that takes every lead at once: it cuts the id out of the line's beginning
 * and answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *line = NULL;
    size_t room = 0;
    const char *begin = "{\"id\":\"";
    while (getline(&line, &room, stdin) > 0) {
        char *id = line + strlen(begin);
        char *end = strncmp(line, begin, strlen(begin)) == 0 ? strchr(id, '"') : NULL;
        if (end == NULL) {
            return 1;
        }
        printf("{\"id\":\"%.*s\",\"outcome\":\"delivered\"}\n", (int)(end - id), id);
        fflush(stdout);
    }
    free(line);
    return 0;
}
