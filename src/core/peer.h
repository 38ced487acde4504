/*
 * What shards know of each other's lives. The shard's thread alone.
 *
 * A shard's life is over when all that it holds ends at once: a wipe or a
 * quarantine. The others learn of it from its public word, which no full channel
 * can lose; a ring of the control bit makes them look. Each then takes what the
 * old life had still published, fails its own calls and watches that the old life
 * had not answered, counts what it had given or sent to it as lost, forgets what it
 * owed to it, and says so: in the channel to the reborn it marks the place (the
 * fence) up to which all is from before.
 *
 * Until another shard has said so, and the reborn has read up to the fence, they
 * are estranged: requests, answers and withdrawals that come from there are of the
 * old life and dropped, with what they carry; ordinary messages are delivered, since
 * names outlive a life: they wait where they are until the tree begins, which waits
 * until the others know, but not for long; and nothing that wants an answer goes
 * there, because those to old requests may still fill its room (TINA_CHANNEL_FULL).
 *
 *   reborn                                   peer
 *   forgets all; life + 1 (release); rings
 *                                            sees the life (acquire); drains; fails; forgets
 *                                            fence := written; fence_life := life (release)
 *   sees fence_life (acquire), reads up
 *   to the fence: no longer estranged
 */
#ifndef TINA__CORE_PEER_H
#define TINA__CORE_PEER_H

#include "core/shard.h"

/* The control bit was rung: has another shard begun a new life? */
void tina__peers_look(tina__shard *shard);

/*
 * Before the shard's memory is built anew: what was written to the others and not
 * published never was; descriptors in it are closed. Returns how many of the users'
 * messages.
 */
uint64_t tina__peers_cut_off(tina__shard *shard);

/* All others have dealt with this shard's life, but for those that are down or at their end. */
bool tina__peers_know(const tina__shard *shard);

/* It is built anew: nobody knows its new life yet. The others are still to be told. */
void tina__peers_begin_life(tina__shard *shard);

#endif
