/* Stands in for libFuzzer: replays files, or runs random programs for a while.
 *
 *     program FILE ...
 *     program -max_total_time=SECONDS -seed=NUMBER
 */
#include "fuzz.h"

#include <time.h>

#define SIZE_MAX_BYTES 4096
#define BATCH 256 /* programs between two looks at the clock */

static uint64_t state;

static uint64_t
next_random(void)
{
    state ^= state << 13u;
    state ^= state >> 7u;
    state ^= state << 17u;
    return state;
}

static void
run_random(uint8_t *data)
{
    size_t size = next_random() % (1u << (4 + next_random() % 9));
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(next_random() >> 24u);
    }
    (void)LLVMFuzzerTestOneInput(data, size);
}

static int
replay(const char *path, uint8_t *data)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, SIZE_MAX_BYTES, file);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    return 0;
}

int
main(int argc, char **argv)
{
    static uint8_t data[SIZE_MAX_BYTES];
    long seconds = 0;
    unsigned long long n_runs = 0;
    int status = 0;
    state = 1;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-max_total_time=", 16) == 0) {
            seconds = strtol(argv[i] + 16, NULL, 10);
        }
        else if (strncmp(argv[i], "-seed=", 6) == 0) {
            state = strtoull(argv[i] + 6, NULL, 10) * 2 + 1;
        }
        else {
            status |= replay(argv[i], data);
            n_runs++;
        }
    }
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end) {
        for (int i = 0; i < BATCH; i++) {
            run_random(data);
        }
        n_runs += BATCH;
    }
    (void)fprintf(stderr, "Done %llu runs in %ld second(s)\n", n_runs, seconds);
    return status;
}
