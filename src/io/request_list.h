/*
 * Requests in a line, linked by next, and the line of those that are over: their
 * completions wait in their own backend_memory until they are collected.
 */
#ifndef TINA__IO_REQUEST_LIST_H
#define TINA__IO_REQUEST_LIST_H

#include "io/backend.h"

typedef struct tina__request_list {
    tina__io_request *first, *last; /* last means nothing where first is NULL */
} tina__request_list;

static inline void tina__requests_push(tina__request_list *list, tina__io_request *request)
{
    request->next = NULL;
    if (list->first == NULL)
        list->first = request;
    else
        list->last->next = request;
    list->last = request;
}

/* NULL: there is none. */
static inline tina__io_request *tina__requests_pop(tina__request_list *list)
{
    tina__io_request *request = list->first;
    if (request != NULL)
        list->first = request->next;
    return request;
}

/* The completion of a request that did nothing. */
static inline tina__io_completion tina__completion_make(const tina__io_request *request, tina_status status, int os_error)
{
    return (tina__io_completion){
        .token = request->token,
        .buffer = TINA__BUFFER_NONE,
        .os_fd = -1,
        .os_error = os_error,
        .status = (uint16_t)status,
    };
}

/* The request is over; from here to its collection it lies in the list. */
static inline void tina__requests_finish(tina__request_list *done, tina__io_request *request, tina__io_completion completion)
{
    *(tina__io_completion *)request->backend_memory = completion;
    tina__requests_push(done, request);
}

/* Of a request that was taken off such a list. */
static inline tina__io_completion tina__requests_completion(const tina__io_request *request)
{
    return *(const tina__io_completion *)request->backend_memory;
}

#endif
