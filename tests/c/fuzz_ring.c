/* Random programs on the ring and the list; each one's model is an array. */
#include "base/list.h"
#include "base/ring.h"

#include "fuzz.h"

#define N_WORDS_MAX 4096
#define N_NODES 64

struct model {
    struct fl_ring ring;
    size_t words[N_WORDS_MAX]; /* what is in the ring, from its front */
    size_t n_words;
    size_t n_pushed;
    size_t n_told; /* since the last push, or SIZE_MAX if pushes are not told */
    struct fl_list head;
    struct fl_list node[N_NODES];
    size_t order[N_NODES]; /* nodes that are in the list, from its front */
    size_t n_nodes;
};

static void
told(struct fl_ring *ring)
{
    struct model *model = (struct model *)(void *)ring; /* its first field */
    model->n_told++;
    HOLDS(fl_ring_count(ring) == model->n_words);
}

/* From now on, or no longer. */
static void
tell(struct model *model, bool on)
{
    fl_ring_tell(&model->ring, on ? told : NULL);
    model->n_told = on ? 0 : SIZE_MAX;
}

static void
push(struct model *model, size_t n)
{
    for (size_t i = 0; i < n && model->n_words < N_WORDS_MAX; i++) {
        HOLDS(fl_ring_push(&model->ring, model->n_pushed) == 0);
        HOLDS(model->n_told == SIZE_MAX || model->n_told == 1);
        model->n_told = model->n_told == SIZE_MAX ? SIZE_MAX : 0;
        model->words[model->n_words++] = model->n_pushed++;
    }
}

static void
pop(struct model *model, size_t n)
{
    n = n < model->n_words ? n : model->n_words;
    for (size_t i = 0; i < n; i++) {
        HOLDS(fl_ring_pop(&model->ring) == model->words[i]);
    }
    model->n_words -= n;
    memmove(model->words, model->words + n, model->n_words * sizeof(model->words[0]));
}

static void
forget(struct model *model, size_t node)
{
    size_t n = 0;
    for (size_t i = 0; i < model->n_nodes; i++) {
        if (model->order[i] != node) {
            model->order[n++] = model->order[i];
        }
    }
    model->n_nodes = n;
}

static void
operate(struct model *model, struct fuzz_program *program)
{
    size_t node;
    switch (fuzz_below(program, 7)) {
    case 0:
        push(model, 1);
        return;
    case 1:
        push(model, fuzz_byte(program));
        return;
    case 2:
        pop(model, fuzz_byte(program));
        return;
    case 3: /* again one that is out */
        node = fuzz_below(program, N_NODES);
        fl_list_unlink(&model->node[node]);
        forget(model, node);
        return;
    case 4: /* to the end, from wherever it is */
        node = fuzz_below(program, N_NODES);
        fl_list_unlink(&model->node[node]);
        forget(model, node);
        fl_list_append(&model->head, &model->node[node]);
        model->order[model->n_nodes++] = node;
        return;
    case 5:
        tell(model, fuzz_byte(program) % 2 == 0);
        return;
    default:
        HOLDS(fl_ring_grow(&model->ring) == 0 || model->ring.mask > SIZE_MAX / 2);
        if (model->ring.mask > N_WORDS_MAX) {
            fl_ring_deinit(&model->ring);
            HOLDS(fl_ring_init(&model->ring, 1) == 0);
            model->n_told = SIZE_MAX;
            model->n_words = 0;
        }
    }
}

static void
check(const struct model *model)
{
    HOLDS(fl_ring_check(&model->ring) == 0);
    HOLDS(fl_ring_count(&model->ring) == model->n_words);
    for (size_t i = 0; i < model->n_words; i += 1 + i / 8) {
        HOLDS(fl_ring_peek(&model->ring, i) == model->words[i]);
    }
    HOLDS(fl_list_empty(&model->head) == (model->n_nodes == 0));
    const struct fl_list *at = &model->head;
    for (size_t i = 0; i < model->n_nodes; i++) {
        HOLDS(at->next == &model->node[model->order[i]] && at->next->prev == at);
        at = at->next;
    }
    HOLDS(at->next == &model->head && model->head.prev == at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_program program = {data, data + size};
    struct model *model = calloc(1, sizeof(*model));
    HOLDS(model != NULL);
    HOLDS(fl_ring_init(&model->ring, fuzz_below(&program, 40)) == 0);
    model->n_told = SIZE_MAX;
    /* counters that are about to wrap, as after years */
    model->ring.head = model->ring.tail = SIZE_MAX - fuzz_byte(&program);
    fl_list_init(&model->head);
    for (size_t i = 0; i < N_NODES; i++) {
        fl_list_init(&model->node[i]);
    }
    while (fuzz_more(&program)) {
        operate(model, &program);
        check(model);
    }
    fl_ring_deinit(&model->ring);
    fl_ring_deinit(&model->ring);
    free(model);
    return 0;
}
