/*
 * From a client's commands to steps for partitions. Pure: bytes in, one step out.
 *
 * Most commands are one step. Those that name several keys are a step for each, and those
 * that ask for the whole are one for each partition; both go on where they were cut. The
 * state between two steps is a plan: it can be copied, and gone back to.
 */
#ifndef KV_COMMAND_H
#define KV_COMMAND_H

#include "batch.h"
#include "resp.h"
#include "store.h"

enum {
    COMMAND_INPUT_MAX = 16 * 1024, /* bytes of a command that are looked at at once, but for those of a large value */
    COMMAND_VALUE_MAX = 11 * 1024, /* bytes of a value that goes with its step */
    COMMAND_ECHO_MAX = 16000,      /* bytes of what is said back: with it, a request and a reply fit into a transfer */
    COMMAND_NAME_MAX = 64,         /* bytes of a client's name */
    COMMAND_TEXT_MAX = 4096,
};

typedef struct kv_plan {
    uint32_t left;   /* keys, pairs or partitions of the command that goes on; or arguments to be skipped */
    uint32_t bytes;  /* of the argument that is being skipped */
    uint16_t used;   /* of the input */
    uint8_t command; /* its kind; 0: none goes on */
    uint8_t error;   /* what is said of a command that is skipped */
} kv_plan;

typedef enum next_kind {
    NEXT_STEP,
    NEXT_NOTHING, /* something was read, and there is nothing to do for it */
    NEXT_MORE,    /* input is needed */
    NEXT_FULL,    /* what was taken of the input has to be forgotten first */
    NEXT_LARGE,   /* a value too large for a step, which has its key and its size: its bytes are what follows in the input,
                     then a line end; and then the plan goes on */
    NEXT_END,     /* nothing is read any more: the connection is to be closed */
} next_kind;

typedef struct kv_next {
    next_kind kind;
    bool is_alone; /* in its batch */
    uint8_t partition;
    bool is_anywhere; /* any partition will do */
    kv_step step;
    const uint8_t *key, *value;
    resp_text name; /* of the client, once the step is taken; data NULL: as before */
} kv_next;

/* What a client has sent and nobody has taken yet. Lines of words become arrays here, which takes room. */
typedef struct kv_input {
    uint32_t size;
    uint8_t bytes[COMMAND_INPUT_MAX + RESP_INLINE_ROOM];
} kv_input;

/* What a command may want to know of its client. */
typedef struct kv_client {
    uint64_t id;
    uint32_t name_size;
    bool is_logged;  /* the keys are on a disk, too */
    bool is_loading; /* a partition is: what is asked of several is refused as a whole */
    uint64_t memory_max;
    uint8_t partition_count;
    char name[COMMAND_NAME_MAX];
} kv_client;

/* Of what a partition is: the same for a key and a count, for ever. */
uint8_t command_partition_of(const void *key, size_t size, uint8_t partition_count);

/* Whether what goes on adds up to one answer, or is a value that goes on: one partition after the other is asked for it. */
bool command_is_within(const kv_plan *plan);

/* Forget what was taken of it. */
void command_forget(kv_plan *plan, kv_input *input);

/*
 * The next step of what lies in the input behind plan->used. text: COMMAND_TEXT_MAX bytes,
 * to which the step may point, as to the input. On NEXT_MORE and NEXT_FULL the plan is as it
 * was. As long as no more than COMMAND_INPUT_MAX bytes are in the input when something is
 * added to it, NEXT_MORE leaves room for more, once what was taken is forgotten.
 */
void command_next(kv_plan *plan, const kv_client *client, kv_input *input, char *text, kv_next *next);

/* The step is taken: what it changes of the client. */
void command_taken(const kv_next *next, kv_client *client);

#endif
