/* The heads of HTTP answers, and whole refusals, as text. No allocation and no I/O: any thread, any handler. */
#ifndef TINA__METRICS_ANSWER_H
#define TINA__METRICS_ANSWER_H

#include "metrics/request.h"

enum { TINA__ANSWER_MAX = 512 }; /* bytes of each of these, final zero included */

/* The head of the answer that brings the metrics. is_last: no other will be on this connection. Returns its length. */
uint32_t tina__answer_metrics(const tina__request *request, bool is_last, char text[TINA__ANSWER_MAX]);

/* A whole answer that refuses, with a line for whoever looks at it. */
uint32_t tina__answer_refusal(const tina__request *request, uint16_t status, bool is_last, char text[TINA__ANSWER_MAX]);

#endif
