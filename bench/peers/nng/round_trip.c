/*
 * round_trip mode=sleep|spin [seconds=1]: a message goes to the other thread and
 * back, always the same one. nng waits in the kernel in both modes.
 */
#include "workloads.h"

/* In place of a number: the end. */
enum { ROUND_STOP = 0 };

static struct pair sockets;

static void *answer_all(void *unused)
{
    (void)unused;
    uint64_t number;
    do {
        nng_msg *message;
        must(nng_recvmsg(sockets.there, &message, 0), "nng_recvmsg");
        number = message_number(message);
        must(nng_sendmsg(sockets.there, message, 0), "nng_sendmsg");
    } while (number != ROUND_STOP);
    return NULL;
}

/* Returns the message that came back. */
static nng_msg *ask(nng_msg *message, uint64_t number)
{
    message_set_number(message, number);
    must(nng_sendmsg(sockets.here, message, 0), "nng_sendmsg");
    nng_msg *answer;
    must(nng_recvmsg(sockets.here, &answer, 0), "nng_recvmsg");
    if (message_number(answer) != number)
        fail("round %llu got another's answer", (unsigned long long)number);
    return answer;
}

static nng_msg *measure(nng_msg *message, double seconds, struct histogram *histogram)
{
    uint64_t warm_ns = now_ns() + warm_up_ns, end_ns = warm_ns + (uint64_t)(seconds * 1e9), begun_ns = 0;
    for (uint64_t round = 1; begun_ns < end_ns || histogram->count == 0; round++) {
        begun_ns = now_ns();
        message = ask(message, round);
        if (begun_ns >= warm_ns)
            histogram_add(histogram, now_ns() - begun_ns);
    }
    return message;
}

int run_round_trip(const struct parameters *given)
{
    static struct histogram histogram;
    sockets = open_pair();
    pthread_t answerer;
    if (pthread_create(&answerer, NULL, answer_all, NULL) != 0)
        fail("no thread");
    nng_msg *message;
    must(nng_msg_alloc(&message, sizeof(uint64_t)), "nng_msg_alloc");
    message = measure(message, real_parameter(given, "seconds", 1), &histogram);
    nng_msg_free(ask(message, ROUND_STOP));
    pthread_join(answerer, NULL);
    close_pair(sockets);
    figure("p50_ns", (double)histogram_quantile(&histogram, 0.5));
    figure("p99_ns", (double)histogram_quantile(&histogram, 0.99));
    figure("mean_ns", histogram_mean(&histogram));
    return 0;
}
