/* A shard's mapping: reserved whole, and opened but for its guards. */
#ifndef TINA__SPEC_MAPPING_H
#define TINA__SPEC_MAPPING_H

#include "spec/plan.h"

/* Readable, writable and zero. *base is set as soon as there is something to release, also where the status is not TINA_OK. */
tina_status tina__mapping_open(const tina__plan *plan, void **base, int *os_error);
void tina__mapping_release(const tina__plan *plan, void *base); /* base may be NULL */

#endif
