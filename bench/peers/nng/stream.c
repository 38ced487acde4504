/*
 * stream [seconds=1]: one thread sends numbers, the other receives them and checks
 * that none is missing. A message is handed over, not copied. When the buffers are
 * full, nng_sendmsg waits.
 */
#include "workloads.h"

#include <stdatomic.h>

enum { BATCH = 1000 };

/* In the last number: as many came before it. */
static const uint64_t last_mark = (uint64_t)1 << 63;

static struct pair sockets;
static atomic_bool is_enough;

static void send_number(uint64_t number)
{
    nng_msg *message;
    must(nng_msg_alloc(&message, sizeof number), "nng_msg_alloc");
    message_set_number(message, number);
    must(nng_sendmsg(sockets.there, message, 0), "nng_sendmsg");
}

static void *send_all(void *unused)
{
    (void)unused;
    uint64_t sent = 0;
    while (!atomic_load_explicit(&is_enough, memory_order_relaxed))
        send_number(sent++);
    send_number(sent | last_mark);
    return NULL;
}

static uint64_t receive_number(void)
{
    nng_msg *message;
    must(nng_recvmsg(sockets.here, &message, 0), "nng_recvmsg");
    uint64_t number = message_number(message);
    nng_msg_free(message);
    return number;
}

static uint64_t receive_batch(void *next_number)
{
    uint64_t *next = next_number;
    for (unsigned i = 0; i < BATCH; i++) {
        uint64_t number = receive_number();
        if (number != (*next)++)
            fail("%llu arrived in place of %llu", (unsigned long long)number, (unsigned long long)*next - 1);
    }
    return BATCH;
}

static void receive_rest(uint64_t next)
{
    uint64_t number = receive_number();
    for (; number == next; number = receive_number())
        next++;
    if (number != (next | last_mark))
        fail("%llu arrived in place of %llu", (unsigned long long)number, (unsigned long long)next);
}

int run_stream(const struct parameters *given)
{
    sockets = open_pair();
    pthread_t sender;
    if (pthread_create(&sender, NULL, send_all, NULL) != 0)
        fail("no thread");
    uint64_t next = 0;
    double rate = measure_rate(real_parameter(given, "seconds", 1), receive_batch, &next);
    atomic_store(&is_enough, true);
    receive_rest(next);
    pthread_join(sender, NULL);
    close_pair(sockets);
    figure("rate", rate);
    return 0;
}
