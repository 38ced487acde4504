#include "io/uring_tier.h"

#include "io/uring_new.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    uint32_t bit;
} words[] = {
    {"defer", TINA__URING_DEFER},        {"coop", TINA__URING_COOP},        {"ftruncate", TINA__URING_FTRUNCATE},
    {"sendaddr", TINA__URING_SEND_ADDR}, {"waitall", TINA__URING_WAIT_ALL}, {"splice", TINA__URING_SPLICE},
};
#define WORD_COUNT (sizeof words / sizeof words[0])

static uint32_t bit_of(const char *word, size_t length)
{
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if (strlen(words[i].word) == length && memcmp(words[i].word, word, length) == 0)
            return words[i].bit;
    }
    return 0;
}

uint32_t tina__uring_tier_allowed(void)
{
    uint32_t allowed = 0;
    for (size_t i = 0; i < WORD_COUNT; i++)
        allowed |= words[i].bit;
    const char *without = getenv("TINA_URING_WITHOUT");
    while (without != NULL && *without != '\0') {
        size_t length = strcspn(without, ",");
        allowed &= ~bit_of(without, length);
        without += length + (without[length] == ',');
    }
    return allowed;
}

#define OPS_MAX 256

static bool has_op(const struct io_uring_probe *probe, unsigned op)
{
    return op <= probe->last_op && (probe->ops[op].flags & IO_URING_OP_SUPPORTED) != 0;
}

/* That a send may name an address can't be asked for; the zero-copy form of sendmsg came with it. */
uint32_t tina__uring_tier_find(struct io_uring *ring, uint32_t allowed)
{
    union {
        struct io_uring_probe probe;
        uint8_t bytes[sizeof(struct io_uring_probe) + OPS_MAX * sizeof(struct io_uring_probe_op)];
    } answer;
    memset(&answer, 0, sizeof answer);
    uint32_t missing = 0;
    bool is_told = io_uring_register_probe(ring, &answer.probe, OPS_MAX) >= 0;
    if (!is_told || !has_op(&answer.probe, TINA__URING_OP_FTRUNCATE))
        missing |= TINA__URING_FTRUNCATE;
    if (!is_told || !has_op(&answer.probe, IORING_OP_SENDMSG_ZC))
        missing |= TINA__URING_SEND_ADDR;
    return allowed & ~missing;
}
