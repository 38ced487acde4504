/* What may be changed of one knob of a run that is to become smaller. Pure functions; any thread. */
#ifndef TINA__SWARM_EDITS_H
#define TINA__SWARM_EDITS_H

#include "swarm/draw.h"

/* bounds: of that knob, by tina__limit_bounds. False: there is nothing to change. */
typedef bool (*tina__edit_fn)(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds);

/* With it goes what means nothing without it. */
bool tina__edit_off(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds);
/* Rates: eight times as often, at most every second time; half as often. */
bool tina__edit_more_often(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds);
bool tina__edit_less_often(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds);
/* Ranges: half as wide. */
bool tina__edit_narrower(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds);
/* Limits: an eighth, down to the least that may do. */
bool tina__edit_tighter(tina__knobs *knobs, tina__knob knob, const tina__bounds *bounds);

#endif
