/*
 * Short stories of connections, told alike on every backend: what the made network
 * says of ends and resets is what the kernel says.
 *
 * a and b are the two ends. a>5: a sends 5 bytes; b<: b receives, b<2: at most 2;
 * a) ends what a sends, a( what it receives, a) and a( both; a. closes it, a! with a
 * reset; a~: a learns that the connection is broken. What would wait is cancelled.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "each.h"

#include <stdio.h>

static const char *const stories[] = {
    "b< a>5 b< b<",
    "a>5 a>3 b<2 b< b>3 a< a<",
    "a>5 a) b<2 b< b< b< b>4 a< b. a< a<",
    "a) a>1 b< a) b) a< b>1 b<",
    "a) b. a< a<",
    "a>5 a. b< b< b<",
    "a. b< b>3 b>1 b>1 b< b<",
    "a. b>3 b< b>1 b<",
    "a>5 a. b>3 b< b< b>1 b<",
    "a>5 b. a< a< a>1 a>1",
    "a>5 b. a>1 a>1 a< a<",
    "b>5 a>5 b. a<2 a< a< a< a>1 a<",
    "a>5 a) b. a< a< a>1",
    "b) a>5 b. a~ a< a< a>1 a<",
    "a! b< b< b>1 b>1",
    "a! b>1 b>1 b< b<",
    "b>4 a! b< b< b>1",
    "a>4 a! b<1 b< b< b< b>1",
    "a>4 a) a! b< b< b>1 b>1",
    "a( b>3 a< a< b>2 a< b. a< a>1",
    "a( a< a< a>2 b< b. a< a>1 a>1",
    "a( a) a< a>1 b< b>1 b<",
};

typedef struct teller {
    test_rig rig;
    rig_fd ends[2];
    bool is_closed[2];
    char text[2048];
    size_t length;
} teller;

static teller made, real;

static void say(teller *self, const char *step, size_t step_size, const rig_request *request)
{
    int size = snprintf(self->text + self->length, sizeof self->text - self->length, "%.*s %s %u errno %d\n", (int)step_size,
                        step, tina_status_name((tina_status)request->completion.status), (unsigned)request->completion.size,
                        request->completion.os_error);
    self->length += (size_t)size;
    assert_true(self->length < sizeof self->text);
}

/* The kernel has told the other end of what this one did. */
static void settle(const teller *self, int end, short events)
{
    struct pollfd told = {.fd = self->ends[end].os_fd, .events = events};
    if (!self->is_closed[end] && !rig_is_made(&self->rig))
        assert_int_equal(poll(&told, 1, 10000), 1);
}

static void transfer(teller *self, const char *step, size_t step_size, bool would_wait)
{
    test_rig *rig = &self->rig;
    int end = step[0] - 'a';
    uint32_t size = step_size > 2 ? (uint32_t)(step[2] - '0') : 0;
    bool sends = step[1] == '>';
    rig->used = 0;
    rig_request *request =
        sends ? rig_send(rig, self->ends[end], "abcdefghi", size) : rig_receive(rig, self->ends[end], size);
    rig_renew(request);
    rig_submit(rig, request);
    rig_turn(rig, 0);
    if (rig_is_made(rig) ? !rig_is_over(request) : would_wait) {
        assert_false(rig_is_over(request));
        rig_cancel(rig, request);
    }
    rig_await(rig, request);
    say(self, step, step_size, request);
    rig_lend_back(rig, request);
    if (sends && request->completion.status == TINA_OK)
        settle(self, self->is_closed[1 - end] ? end : 1 - end, self->is_closed[1 - end] ? 0 : POLLIN);
}

static void end_it(teller *self, const char *step)
{
    test_rig *rig = &self->rig;
    int end = step[0] - 'a';
    int os_error;
    if (step[1] == '~') {
        settle(self, end, 0);
        return;
    }
    if (step[1] == '(' || step[1] == ')') {
        int half = step[1] == '(' ? TINA_READ_HALF : TINA_WRITE_HALF;
        assert_int_equal(rig->api->socket_shutdown(rig->backend, self->ends[end].os_fd, half, &os_error), TINA_OK);
    } else {
        if (step[1] == '!')
            assert_int_equal(rig->api->socket_set(rig->backend, self->ends[end].os_fd, TINA_OPT_LINGER, 0, &os_error),
                             TINA_OK);
        rig_close_fd(rig, self->ends[end]);
        self->is_closed[end] = true;
    }
    if (step[1] != '(')
        settle(self, 1 - end, step[1] == '!' ? 0 : POLLRDHUP);
}

/* The step that is told in this line. */
static bool has_waited(const char *line)
{
    const char *waited = strstr(line, "TINA_CANCELLED");
    return waited != NULL && waited < strchr(line, '\n');
}

/* before: how it was told on the made network; NULL: this is it. */
static void tell(teller *self, const char *story, const char *before)
{
    memset(self->is_closed, 0, sizeof self->is_closed);
    self->length = 0;
    self->text[0] = '\0';
    self->rig.used = 0;
    rig_connected(&self->rig, TINA_IPV4, &self->ends[0], &self->ends[1]);
    for (const char *step = story; *step != '\0';) {
        size_t size = strcspn(step, " ");
        if (step[1] == '<' || step[1] == '>') {
            bool would_wait = before != NULL && has_waited(before + self->length);
            transfer(self, step, size, would_wait);
        } else {
            end_it(self, step);
        }
        step += size + strspn(step + size, " ");
    }
    for (int end = 0; end < 2; end++) {
        if (!self->is_closed[end])
            rig_close_fd(&self->rig, self->ends[end]);
    }
}

/* The same requests once more. */
static void renew_all(test_rig *rig)
{
    for (uint32_t i = 0; i < rig->config.op_count; i++)
        rig->requests[i].generation = tina__word_generation_next(rig->requests[i].generation);
}

static void stories_are_told_alike(void **state)
{
    (void)state;
    open_config(&real.rig, small);
    uint8_t ours = wanted;
    wanted = TINA_BACKEND_SIM;
    open_config(&made.rig, small);
    wanted = ours;
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        renew_all(&made.rig);
        renew_all(&real.rig);
        tell(&made, stories[i], NULL);
        tell(&real, stories[i], made.text);
        if (strcmp(made.text, real.text) != 0)
            print_error("%s\nthe made network:\n%sthe kernel:\n%s", stories[i], made.text, real.text);
        assert_string_equal(made.text, real.text);
    }
    rig_close(&made.rig);
    rig_close(&real.rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_are_told_alike),
    };
    return run_each(tests, sizeof tests / sizeof tests[0], NULL, 0, argc, argv);
}
