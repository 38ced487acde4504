/*
 * From what a client has sent to what partitions are asked at once: a round. Pure: bytes
 * in, batches out.
 *
 * A round has a lot for each partition that its steps need, as long as none of them has to
 * wait for another. Where one has, the round has a single lot: in the middle of a command
 * that adds up what several partitions say, for a large value, and for what was not done
 * where others behind it were.
 */
#ifndef KV_ROUND_H
#define KV_ROUND_H

#include "command.h"
#include "lots.h"

typedef struct kv_round {
    kv_client client;
    kv_plan plan, begin;     /* now, and ahead of the first step */
    uint8_t value_partition; /* to which a large value was sent that waits for its step */
    kv_lots lots;
    kv_plan marks[BATCH_STEPS_MAX]; /* behind each step */
    kv_input input;
} kv_round;

typedef enum round_wish {
    ROUND_ASK,     /* nothing: it is complete, and has a step */
    ROUND_LOT,     /* memory for another lot; without, it is complete */
    ROUND_RECEIVE, /* more input; it is complete otherwise, and may have no step */
    ROUND_VALUE,   /* that a large value be sent, as next says; it has no step */
    ROUND_END,     /* nothing ever any more; it may have a step */
} round_wish;

/* A round as it is put together. */
typedef struct kv_deal {
    kv_batch batches[LOTS_MAX]; /* of the lots */
    kv_lot *last;               /* that of the step before */
    uint32_t at, end;           /* the next step's place, and the first that is too much */
    bool is_one;                /* lot at most */
    bool is_within;             /* a command that adds up goes on */
    uint8_t partition;          /* of the lot that is missing */
    kv_next next;
    char text[COMMAND_TEXT_MAX];
} kv_deal;

/*
 * A new round; or, of one that has a gap, what is missing up to the next answer that is
 * held. is_one: it is to have one lot. data: capacity bytes for the first lot, which is
 * there before it is known whether it is needed.
 */
void round_begin(kv_round *me, kv_deal *deal, bool is_loading, bool is_one, void *data, size_t capacity);

/* Deals out steps until something is wished. */
round_wish round_deal(kv_round *me, kv_deal *deal);

/* The memory that was wished for. */
void round_open(kv_round *me, kv_deal *deal, void *data, size_t capacity);

static inline bool round_has_steps(const kv_round *me, const kv_deal *deal) { return deal->at != me->lots.said; }

/* Where nothing is to come or held any more, the round is over: what was not done is as good as not read. */
void round_settle(kv_round *me);
static inline bool round_is_over(const kv_round *me) { return me->lots.count == 0; }

#endif
