/*
 * A spec that a system may keep: the caller's, whole, with all that it points to.
 * Before boot; any thread.
 */
#ifndef TINA__SPEC_COPY_H
#define TINA__SPEC_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <tina/spec.h>

/*
 * A caller's struct as this library knows it. An older header's is shorter: what it
 * lacks is 0, the default. A newer header's is longer: what is beyond has to be 0.
 * False: it asks for what this library does not know.
 */
bool tina__widen(const void *given, size_t given_size, void *whole, size_t whole_size);

/* The same of a spec. TINA_OK; TINA_INVALID: spec is NULL, or asks for what this library does not know. */
tina_status tina__spec_widen(const tina_system_spec *spec, size_t spec_size, tina_system_spec *whole);

/*
 * Everything in one block, to be freed with tina__spec_free. The spec has passed
 * tina__spec_check. Functions, user and log_user stay the caller's. Lists that
 * are empty become NULL. TINA_OK; TINA_INVALID as above; TINA_POOL_EXHAUSTED.
 */
tina_status tina__spec_copy(const tina_system_spec *spec, size_t spec_size, tina_system_spec **copy);

void tina__spec_free(tina_system_spec *copy); /* NULL: does nothing */

#endif
