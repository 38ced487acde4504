/* A snapshot as a table of plain text. Pure. */
#ifndef TINA_TINATOP_VIEW_H
#define TINA_TINATOP_VIEW_H

#include "snapshot.h"

#include <stdio.h>

/* Writes it, rates from earlier on; NULL: averages since the system's start. state: LIVE or LEFT. */
void view_write(FILE *to, const page_snapshot *now, const page_snapshot *earlier, snapshot_state state, const char *path);

#endif
