/*
 * One command that is looked at, and how it is answered where no partition has to be asked.
 * What several files of commands share; nobody else needs it.
 */
#ifndef KV_CALL_H
#define KV_CALL_H

#include "command.h"

#include <stdio.h>

/* What goes on over several steps. */
enum {
    GO_NONE,
    GO_GET,
    GO_SET,
    GO_DELETE,
    GO_EXISTS,
    GO_COUNT,
    GO_CLEAR,
    GO_INFO,
    GO_SET_TAIL,  /* behind the large value of a SET: its options */
    GO_PAIR_TAIL, /* behind one of an MSET: the next pair */
    GO_SKIP,
    GO_END,
};

/* What a command is run with. */
typedef struct kv_call {
    kv_plan *plan;
    const kv_client *client;
    const resp_args *args;
    char *text;
    kv_next *next;
} kv_call;

extern const char call_out_of_range[], call_syntax_error[], call_too_long[];

/* The answer is text as it is, which stays where it is until the step is added. */
void call_say(const kv_call *call, const char *text);
void call_say_bytes(const kv_call *call, const char *text, uint32_t size);

/* It is a bulk string. */
void call_echo(const kv_call *call, resp_text what);

/* It is an error, in the call's text. */
void call_say_error(const kv_call *call, const char *what);
void call_say_error_of(const kv_call *call, const char *what, uint32_t size);
void call_wrong_subcommand(const kv_call *call, const char *name);

#define CALL_SAY_ERROR(call, ...)                                                                                           \
    do {                                                                                                                    \
        char error_text[COMMAND_TEXT_MAX - 8];                                                                              \
        int error_size = snprintf(error_text, sizeof error_text, __VA_ARGS__);                                              \
        call_say_error_of(call, error_text, (uint32_t)error_size);                                                          \
    } while (0)

/* Commands about the connection. */
void session_ping(const kv_call *call);
void session_echo(const kv_call *call);
void session_quit(const kv_call *call);
void session_select(const kv_call *call);
void session_hello(const kv_call *call);
void session_client(const kv_call *call);
void session_config(const kv_call *call);

#endif
