#include "sim/sends.h"

#include "base/assert.h"
#include "base/prng.h"

TINA_STATIC_ASSERT((TINA__SENDS_MAX & (TINA__SENDS_MAX - 1)) == 0, "counts wrap to indexes, hashes are masked");

/* ---- By sender, receiver and tag ---------------------------------------------------------- */

static tina__sends_bucket *bucket_of(tina__sends *sends, tina_handle source, tina_handle to, tina_tag tag)
{
    uint64_t hash = tina__mix64(source.bits ^ tina__mix64(to.bits ^ tag));
    return &sends->buckets[hash & (TINA__SENDS_MAX - 1)];
}

static bool is_of(const tina__sent *sent, tina_handle source, tina_handle to, tina_tag tag)
{
    return sent->tag == tag && tina_handle_equal(sent->source, source) && tina_handle_equal(sent->to, to);
}

/* ---- In and out ------------------------------------------------------------------------------ */

static void unlink_sent(tina__sends *sends, uint32_t index)
{
    tina__sent *gone = &sends->sent[index];
    tina__sends_bucket *in = bucket_of(sends, gone->source, gone->to, gone->tag);
    tina__assert(gone->waits);
    *(gone->older == TINA__NONE ? &in->oldest : &sends->sent[gone->older].newer) = gone->newer;
    *(gone->newer == TINA__NONE ? &in->newest : &sends->sent[gone->newer].older) = gone->older;
    gone->waits = false;
}

void tina__sends_init(tina__sends *sends)
{
    for (uint32_t i = 0; i < TINA__SENDS_MAX; i++)
        sends->buckets[i] = (tina__sends_bucket){.oldest = TINA__NONE, .newest = TINA__NONE};
}

void tina__sends_add(tina__sends *sends, tina_handle source, tina_handle to, tina_tag tag, uint64_t at_ns,
                     uint32_t thread_id)
{
    uint32_t index = (uint32_t)(sends->count++ & (TINA__SENDS_MAX - 1));
    tina__sent *sent = &sends->sent[index];
    if (sent->waits)
        unlink_sent(sends, index);
    tina__sends_bucket *in = bucket_of(sends, source, to, tag);
    *sent = (tina__sent){.source = source, .to = to, .at_ns = at_ns, .thread_id = thread_id, .tag = tag, .waits = true};
    sent->older = in->newest;
    sent->newer = TINA__NONE;
    *(in->newest == TINA__NONE ? &in->oldest : &sends->sent[in->newest].newer) = index;
    in->newest = index;
}

/* ---- What becomes of them -------------------------------------------------------------------- */

/* The oldest that is not from before since_ns. Those are forgotten. */
static uint32_t find(tina__sends *sends, tina_handle source, tina_handle to, tina_tag tag, uint64_t since_ns)
{
    for (uint32_t index = bucket_of(sends, source, to, tag)->oldest; index != TINA__NONE;) {
        const tina__sent *sent = &sends->sent[index];
        uint32_t newer = sent->newer;
        if (is_of(sent, source, to, tag)) {
            if (sent->at_ns >= since_ns)
                return index;
            unlink_sent(sends, index);
        }
        index = newer;
    }
    return TINA__NONE;
}

const tina__sent *tina__sends_take(tina__sends *sends, tina_handle source, const tina__sends_receiver *receiver,
                                   tina_tag tag)
{
    uint32_t index = find(sends, source, receiver->self, tag, 0);
    if (index == TINA__NONE && receiver->name != 0) {
        tina_handle name = tina_named(tina_handle_shard(receiver->self), receiver->name);
        index = find(sends, source, name, tag, receiver->heir_since_ns);
    }
    if (index == TINA__NONE)
        return NULL;
    unlink_sent(sends, index);
    return &sends->sent[index];
}

/* The latest: those before it may have arrived, and wait for their turn. */
void tina__sends_forget(tina__sends *sends, tina_handle source, tina_handle to, tina_tag tag)
{
    uint32_t index = bucket_of(sends, source, to, tag)->newest;
    while (index != TINA__NONE && !is_of(&sends->sent[index], source, to, tag))
        index = sends->sent[index].older;
    if (index != TINA__NONE)
        unlink_sent(sends, index);
}
