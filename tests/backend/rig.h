/*
 * One backend with all that a reactor would give it, and requests that keep count
 * of their completions. Waiting is bounded: what has not completed by then fails
 * the test. The far ends of connections are played by plain system calls, or on a
 * made network by what stands in for them. Include it after <cmocka.h>.
 */
#ifndef TESTS_BACKEND_RIG_H
#define TESTS_BACKEND_RIG_H

#include "rig_ends.h"
#include "rig_files.h"
#include "rig_open.h"
#include "rig_requests.h"

/* ---- What several tests need ---- */

/* A connection over the loopback: client and what the listener accepted for it. */
static inline void rig_connected(test_rig *rig, int family, rig_fd *client, rig_fd *server)
{
    tina_address address;
    rig_fd listener = rig_listener(rig, family, 8, &address);
    *client = rig_socket(rig, family);
    rig_request *accepting = rig_accept(rig, listener);
    rig_request *connecting = rig_connect(rig, *client, &address);
    rig_submit(rig, accepting);
    rig_submit(rig, connecting);
    rig_await_all(rig);
    assert_int_equal(connecting->completion.status, TINA_OK);
    assert_int_equal(accepting->completion.status, TINA_OK);
    *server = rig_adopt(rig, accepting->completion.os_fd);
    rig_close_fd(rig, listener);
}

/* Sends until not a byte more is taken at once. */
static inline void rig_fill(test_rig *rig, rig_request *send_, uint64_t *sent)
{
    send_->request.no_wait = true;
    do {
        assert_int_equal(rig_do(rig, send_) == TINA_OK || send_->completion.status == TINA_BUSY, true);
        *sent += send_->completion.size;
        rig_renew(send_);
    } while (send_->completion.status == TINA_OK);
}

/* ---- Abandoning ---- */

/* All requests are over without a completion and may be taken anew; no buffer is held or lent. Descriptors stay open. */
static inline void rig_abandon(test_rig *rig)
{
    assert_true(rig->api->abandon(rig->backend));
    for (uint32_t i = 0; i < rig->used; i++) {
        rig_request *request = &rig->requests[i];
        uint32_t generation = tina__word_generation_next(request->generation);
        *request = (rig_request){.generation = generation};
    }
    rig->used = 0;
    rig->completed = rig->submitted;
    rig->held = 0;
}

static inline void rig_lend_all(test_rig *rig)
{
    for (uint32_t i = 0; i < rig->config.buffer_count; i++)
        rig->api->lend(rig->backend, i);
}

#endif
