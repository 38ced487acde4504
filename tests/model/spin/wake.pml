/*
 * Sleep and wake, as in mem/doorbell.h: one shard that consumes, three who ring
 * its bell, and memory that lets a load overtake an earlier store of its thread.
 *
 * Spin interleaves, but every step of it is seen at once. Each thread therefore
 * has a store buffer, first in first out, which the process memory() empties
 * whenever it likes (x86-TSO). A locked instruction, and the fence behind a
 * sequentially consistent store, wait until their own buffer is empty. Loads
 * read memory: no thread here loads a place that it has in its own buffer (the
 * producers assert it; the shard stores is_sleeping alone and never loads it), so
 * forwarding is not needed.
 *
 * What is proven: every run ends. The shard ends only in its wait, when nothing
 * is under way any more and all was consumed. A lost wake-up is thus a shard
 * that waits for ever: an invalid end state. That no run is endless is the
 * search for cycles (run.sh). The assertions say the rest.
 *
 * With EXTERNAL the shard is one that the program turns (run/crank.h): the wait is the
 * program's, which does not read the eventfd; the shard does, before each rest.
 *
 * run.sh defines one of these to show that the model notices:
 *   NO_SECOND_LOOK NO_FENCE_CONSUMER NO_FENCE_PRODUCER EVENTFD_LOST
 *   WAKE_EATEN NO_EXCHANGE PUBLISH_EARLY CLEARED_LATE
 */

/* The threads. Each of the first three has a channel and a bit of its own. */
#define PEER 0    /* another shard: a bit in the first words */
#define INBOX 1   /* tina_post, from a thread outside */
#define CONTROL 2 /* tina_stop, from a thread outside or a signal handler */
#define PRODUCERS 3
#define SHARD 3
#define THREADS 4

#define PEER_MESSAGES 2
#ifndef INBOX_MESSAGES
#define INBOX_MESSAGES 1
#endif
#define CONTROL_MESSAGES 1
#define DEADLINES 1 /* waits that a timer or a completion ends */

#define BIT(producer) (1 << (producer))
#define WORD_OF(producer) ((producer) == PEER -> 0 : 1) /* CONTROL and INBOX share the last word */
#define WORDS 2

/* The places of memory. */
mtype = { SLOT, TAIL, BELL, SLEEPING };
byte slot[PRODUCERS]; /* how many messages are written */
byte tail[PRODUCERS]; /* how many are published */
byte bell[WORDS];
bit is_sleeping;
byte wake_count; /* the eventfd's */

/* What the stores wait in: the place, its index, the value. */
chan buffer[THREADS] = [3] of { mtype, byte, byte };

/* What only the proof knows. */
byte consumed[PRODUCERS];
byte finished_count;     /* producers that are done */
bool is_wake_due;        /* an announcement that nobody has answered yet */
bool must_see[WORDS];    /* the shard has seen a bit here: a later load can't return an older value */
bool is_over;
#ifdef EVENTFD_LOST
bool is_waiting;
#endif

#define IS_QUIET \
    (finished_count == PRODUCERS && empty(buffer[PEER]) && empty(buffer[INBOX]) && empty(buffer[CONTROL]) && \
     empty(buffer[SHARD]))
#define IS_ALL_CONSUMED \
    (consumed[PEER] == PEER_MESSAGES && consumed[INBOX] == INBOX_MESSAGES && consumed[CONTROL] == CONTROL_MESSAGES)

/* ---- Memory ---- */

inline apply(thread)
{
    buffer[thread] ? place, index, value;
    if
    :: place == SLOT -> slot[index] = value
    :: place == TAIL -> tail[index] = value
    :: place == BELL -> bell[index] = bell[index] | value /* an atomic OR, performed late */
    :: place == SLEEPING ->
        is_sleeping = value;
        is_wake_due = is_wake_due || value
    fi;
    place = 0;
    index = 0;
    value = 0
}

active proctype memory()
{
    mtype place;
    byte index, value;
    do
    :: d_step { nempty(buffer[PEER]) -> apply(PEER) }
    :: d_step { nempty(buffer[INBOX]) -> apply(INBOX) }
    :: d_step { nempty(buffer[CONTROL]) -> apply(CONTROL) }
    :: d_step { nempty(buffer[SHARD]) -> apply(SHARD) }
    :: is_over -> break
    od
}

#define STORE(thread, place, index, value) buffer[thread] ! place, index, value
#define FENCE(thread) empty(buffer[thread])

/* ---- Producers ---- */

/* One wake at most for one announcement. */
inline answer()
{
    if
    :: is_answering ->
        assert(is_wake_due);
        is_wake_due = false
    :: else
    fi
}

/* tina__doorbell_ring, and the write to wake_fd that it asks for. */
inline ring(me)
{
    /* The RMW of the bit. */
#ifdef NO_FENCE_PRODUCER
    STORE(me, BELL, WORD_OF(me), BIT(me));
#else
    d_step {
        FENCE(me) -> bell[WORD_OF(me)] = bell[WORD_OF(me)] | BIT(me)
    }
#endif
    /* The look at is_sleeping. */
    d_step {
        assert(!(buffer[me] ?? [SLEEPING, _, _]));
        is_answering = is_sleeping
    }
    /* The exchange: whoever finds 1 wakes. */
    if
    :: is_answering ->
#ifdef NO_EXCHANGE
        STORE(me, SLEEPING, 0, 0);
        d_step { answer() }
#else
        d_step {
            FENCE(me) -> is_answering = is_sleeping;
            is_sleeping = 0;
            answer()
        }
#endif
    :: else
    fi;
    if
    :: is_answering ->
        d_step {
            FENCE(me) ->
            is_answering = 0;
#ifdef EVENTFD_LOST
            wake_count = wake_count + (is_waiting -> 1 : 0)
#else
            wake_count++
#endif
        }
    :: else
    fi
}

proctype producer(byte me; byte message_count)
{
    byte sent_count;
    bit is_answering;
    do
    :: sent_count < message_count ->
        atomic {
            sent_count++;
#ifdef PUBLISH_EARLY
            STORE(me, TAIL, me, sent_count);
            STORE(me, SLOT, me, sent_count)
#else
            STORE(me, SLOT, me, sent_count);
            STORE(me, TAIL, me, sent_count) /* release */
#endif
        }
        ring(me)
    :: else -> break
    od;
    finished_count++
}

/* ---- The shard ---- */

inline drain(from)
{
    if
    :: taken & BIT(from) ->
        d_step {
            assert(tail[from] >= consumed[from]);
            assert(tail[from] <= slot[from]); /* nothing is consumed before it is written */
            consumed[from] = tail[from];
            taken = taken & ~BIT(from)
        }
    :: else
    fi
}

/*
 * tina__doorbell_take. Its relaxed look may return an old zero, on machines
 * weaker than x86 too, unless the shard has seen the bit already.
 */
inline take(word)
{
    if
    :: !must_see[word] /* an old zero, or a true one */
    :: bell[word] != 0 ->
        d_step {
            FENCE(SHARD) -> taken = bell[word];
            bell[word] = 0;
            must_see[word] = false;
            is_idle = false
        }
    fi
}

inline look(word)
{
    if
    :: !is_rung && bell[word] != 0 ->
        is_rung = true;
        must_see[word] = true
    :: else
    fi
}

active proctype shard()
{
    byte taken;
    byte deadline_count = DEADLINES;
    bool is_idle, is_rung;

    do
    ::
        /* A tick. The backend's turn without a wait reads wake_fd empty, if it gets to know. */
        if
        :: wake_count = 0
        :: true
        fi;
        is_idle = true;
        take(0);
        drain(PEER);
        take(1);
        drain(INBOX);
        drain(CONTROL);
        if
        :: is_idle
        :: else -> goto next
        fi;

#if defined(EXTERNAL) && !defined(CLEARED_LATE)
        wake_count = 0; /* come_to_rest */
#endif
        /* tina__doorbell_may_sleep */
        is_rung = false;
        STORE(SHARD, SLEEPING, 0, 1);
#ifndef NO_FENCE_CONSUMER
        FENCE(SHARD);
#endif
#ifndef NO_SECOND_LOOK
        atomic { look(0) }
        atomic { look(1) }
        if
        :: is_rung ->
            is_rung = false;
            STORE(SHARD, SLEEPING, 0, 0);
            goto next
        :: else
        fi;
#endif

#ifdef CLEARED_LATE
        wake_count = 0;
#endif
        /* The backend's turn with a wait, or the program's: a count that was there before ends it at once. */
#ifdef WAKE_EATEN
        wake_count = 0;
#endif
#ifdef EVENTFD_LOST
        is_waiting = true;
#endif
        if
#ifdef EXTERNAL
        :: wake_count > 0
#else
        :: d_step { wake_count > 0 -> wake_count = 0 }
#endif
        :: deadline_count > 0 -> deadline_count--
        :: IS_QUIET && IS_ALL_CONSUMED -> break
        fi;
#ifdef EVENTFD_LOST
        is_waiting = false;
#endif
        STORE(SHARD, SLEEPING, 0, 0); /* tina__doorbell_awake */
next:
        skip
    od;
    is_over = true
}

init
{
    atomic {
        run producer(PEER, PEER_MESSAGES);
        run producer(INBOX, INBOX_MESSAGES);
        run producer(CONTROL, CONTROL_MESSAGES)
    }
}
