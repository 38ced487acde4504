#include "io/ready_polls.h"

#include "base/assert.h"
#include "base/handle.h"
#include "io/ready.h"

tina__ready_polls tina__ready_polls_make(void)
{
    tina__ready_polls polls = {.count = 0};
    for (uint32_t line = 0; line < TINA__READY_POLL_LINES; line++)
        polls.lines[line].now = polls.lines[line].later = TINA__NONE;
    return polls;
}

void tina__ready_polls_add(tina__ready *ready, uint32_t slot)
{
    tina__ready_fd *fd = &ready->fds[slot];
    tina__assert(!fd->is_polled);
    fd->is_polled = true;
    fd->next_polled = ready->polls.lines[fd->poll_line].later;
    ready->polls.lines[fd->poll_line].later = slot;
    ready->polls.count++;
}

static bool is_empty(const tina__ready_polls *polls, uint32_t line)
{
    return polls->lines[line].now == TINA__NONE && polls->lines[line].later == TINA__NONE;
}

/* Its pause begins when the clock is first looked at with somebody in it. */
static void set_due(tina__ready_polls *polls, uint32_t line, uint64_t now_ns)
{
    if (is_empty(polls, line))
        polls->lines[line].due_ns = 0;
    else if (polls->lines[line].due_ns == 0)
        polls->lines[line].due_ns = now_ns + (TINA__READY_PAUSE_NS << line);
}

static void leave(tina__ready *ready, uint32_t slot)
{
    tina__ready_fd *fd = &ready->fds[slot];
    fd->is_polled = false;
    fd->poll_line = (uint8_t)tina__min_u64(fd->poll_line + 1u, TINA__READY_POLL_LINES - 1);
    ready->polls.count--;
}

/* After a portion: what is left of the round goes on soon. */
static uint64_t due_after(const tina__ready_polls *polls, uint32_t line, uint64_t now_ns)
{
    uint64_t soon_ns = now_ns + TINA__READY_PAUSE_NS;
    if (is_empty(polls, line))
        return 0;
    if (polls->lines[line].now != TINA__NONE || polls->lines[line].next_ns < soon_ns)
        return soon_ns;
    return polls->lines[line].next_ns;
}

static uint32_t take_line(tina__ready *ready, uint32_t line, uint64_t now_ns, uint32_t *slots)
{
    tina__ready_polls *polls = &ready->polls;
    uint32_t count = 0;
    if (polls->lines[line].now == TINA__NONE) {
        polls->lines[line].now = polls->lines[line].later;
        polls->lines[line].later = TINA__NONE;
        polls->lines[line].next_ns = now_ns + (TINA__READY_PAUSE_NS << line);
    }
    for (; count < TINA__READY_POLL_PORTION && polls->lines[line].now != TINA__NONE; count++) {
        slots[count] = polls->lines[line].now;
        polls->lines[line].now = ready->fds[slots[count]].next_polled;
        leave(ready, slots[count]);
    }
    polls->lines[line].due_ns = due_after(polls, line, now_ns);
    return count;
}

uint32_t tina__ready_polls_take(tina__ready *ready, uint64_t now_ns, uint32_t *slots)
{
    uint32_t count = 0;
    for (uint32_t line = 0; line < TINA__READY_POLL_LINES; line++) {
        set_due(&ready->polls, line, now_ns);
        uint64_t due_ns = ready->polls.lines[line].due_ns;
        if (due_ns != 0 && due_ns <= now_ns)
            count += take_line(ready, line, now_ns, slots + count);
    }
    return count;
}

uint64_t tina__ready_polls_wait(tina__ready *ready, uint64_t now_ns)
{
    uint64_t first_ns = TINA_NONE_NS;
    for (uint32_t line = 0; line < TINA__READY_POLL_LINES; line++) {
        set_due(&ready->polls, line, now_ns);
        if (ready->polls.lines[line].due_ns != 0)
            first_ns = tina__min_u64(first_ns, ready->polls.lines[line].due_ns);
    }
    if (first_ns == TINA_NONE_NS)
        return TINA_NONE_NS;
    return first_ns > now_ns ? first_ns - now_ns : 0;
}
