/*
 * The referee: an isolate that keeps a simulated system from being quiet until all who
 * take part are through. Healing demands quiet by the last round, so it also demands
 * that they come to an end. It reads what other isolates write, as only a simulation may.
 */
#ifndef TESTS_SIM_REFEREE_H
#define TESTS_SIM_REFEREE_H

#include <string.h>
#include <tina/tina.h>

/* The child's args, and the isolate's struct. */
typedef struct referee {
    bool (*is_over)(const void *run); /* run: the spec's user pointer */
    uint64_t pause_ns;                /* between two looks */
} referee;

static inline tina_effect referee_look(const referee *me, tina_ctx *ctx)
{
    if (me->is_over(tina_user(ctx)))
        return tina_receive();
    return tina_timer_start(ctx, me->pause_ns, TINA_TAG_TIMER, NULL) == TINA_OK ? tina_receive() : tina_crash(1);
}

static inline tina_effect referee_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    memcpy(self, args, args_size);
    return referee_look(self, ctx);
}

static inline tina_effect referee_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : referee_look(self, ctx);
}

#endif
