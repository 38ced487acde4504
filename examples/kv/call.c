#include "call.h"

const char call_out_of_range[] = "ERR value is not an integer or out of range";
const char call_syntax_error[] = "ERR syntax error";
const char call_too_long[] = "ERR an argument is too long";

void call_say_bytes(const kv_call *call, const char *text, uint32_t size)
{
    call->next->kind = NEXT_STEP;
    call->next->is_anywhere = true;
    call->next->step = (kv_step){.kind = STEP_TEXT, .value_size = size};
    call->next->key = call->next->value = (const uint8_t *)text;
}

void call_say(const kv_call *call, const char *text) { call_say_bytes(call, text, (uint32_t)strlen(text)); }

/* Line ends within would be the end of the error. */
void call_say_error_of(const kv_call *call, const char *what, uint32_t size)
{
    uint32_t used = 0;
    call->text[used++] = '-';
    for (uint32_t i = 0; i < size && used < COMMAND_TEXT_MAX - 2; i++)
        call->text[used++] = what[i] == '\r' || what[i] == '\n' ? ' ' : what[i];
    call->text[used++] = '\r';
    call->text[used++] = '\n';
    call_say_bytes(call, call->text, used);
}

void call_say_error(const kv_call *call, const char *what) { call_say_error_of(call, what, (uint32_t)strlen(what)); }

void call_echo(const kv_call *call, resp_text what)
{
    if (what.size > COMMAND_ECHO_MAX) {
        call_say_error(call, call_too_long);
        return;
    }
    call_say_bytes(call, (const char *)what.data, what.size);
    call->next->step.kind = STEP_ECHO;
}

void call_wrong_subcommand(const kv_call *call, const char *name)
{
    resp_text what = call->args->argv[1];
    CALL_SAY_ERROR(call, "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)(what.size < 128 ? what.size : 128),
                   (const char *)what.data, name);
}
