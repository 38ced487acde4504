/*
 * The writer of the statistics page, see base/page.h. The booting thread opens it,
 * the helper thread writes it, whoever frees the system closes it. The shards know
 * nothing of it: what they count is copied from where any thread may read it.
 */
#ifndef TINA__RUN_STATS_PAGE_H
#define TINA__RUN_STATS_PAGE_H

#include "run/system.h"

/* What system->page is from now on: NULL where the spec wants none. Statuses as tina__claim_open, and TINA_POOL_EXHAUSTED. */
tina_status tina__stats_page_open(tina_system *system, tina_error *error);
/* The file is removed. */
void tina__stats_page_close(tina_system *system);

/* The helper, each time round: writes, where it is time. Returns how long until the next time; TINA_NONE_NS: there is no page. */
uint64_t tina__stats_page_turn(tina_system *system);

#endif
