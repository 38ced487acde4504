/*
 * libtina: thread per core, nothing shared, memory fixed at boot.
 *
 * A program lists the types of its isolates, says which of them run at boot, and
 * calls tina_boot:
 *
 *     typedef struct counter { uint64_t count; } counter;
 *
 *     static tina_effect counter_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
 *     {
 *         return tina_receive();
 *     }
 *
 *     static tina_effect counter_handle(void *self, const tina_message *message, tina_ctx *ctx)
 *     {
 *         counter *me = self;
 *         if (message->tag == TINA_TAG_SHUTDOWN)
 *             return tina_done();
 *         me->count++;
 *         return tina_receive();
 *     }
 *
 * An isolate is such a struct, in its shard's arena, with such a handler. It gets
 * one message at a time and returns an effect that says what it does next. A
 * shard is one thread that owns its isolates; shards share nothing and send each
 * other messages. An isolate that crashes is restarted by its supervisor.
 *
 *   types.h   handles, messages, effects      ctx.h     what a handler may do
 *   spec.h    what a system is made of        io.h      sockets and operations
 *   system.h  running it                      sim.h     running it in a simulation
 *   log.h     ready-made sinks for its log    metrics.h an isolate that serves its counters
 *   status.h  what a call came to             sim_main.h  a main function for simulations, not included here
 */
#ifndef TINA_TINA_H
#define TINA_TINA_H

#include <tina/ctx.h>
#include <tina/io.h>
#include <tina/log.h>
#include <tina/metrics.h>
#include <tina/sim.h>
#include <tina/spec.h>
#include <tina/status.h>
#include <tina/system.h>
#include <tina/types.h>
#include <tina/version.h>

#endif
