/*
 * The rules that a spec has to keep: one function, or one row, for each. Reads
 * the spec and what it points to; changes nothing. Any thread.
 */
#ifndef TINA__SPEC_CHECK_H
#define TINA__SPEC_CHECK_H

#include <tina/spec.h>

/*
 * TINA_OK; TINA_INVALID, with the first field that is wrong as error->path and
 * what would be right as error->message. error may be NULL. spec is whole: see
 * tina__spec_widen.
 */
tina_status tina__spec_check(const tina_system_spec *spec, tina_error *error);

#endif
