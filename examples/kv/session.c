/* Commands about the connection, which no partition has to be asked: what it is called, and what it is told of the server. */
#include "call.h"

void session_ping(const kv_call *call)
{
    if (call->args->count > 2)
        call_say_error(call, "ERR wrong number of arguments for 'ping' command");
    else if (call->args->count == 2)
        call_echo(call, call->args->argv[1]);
    else
        call_say(call, "+PONG\r\n");
}

void session_echo(const kv_call *call) { call_echo(call, call->args->argv[1]); }

void session_quit(const kv_call *call)
{
    call_say(call, "+OK\r\n");
    call->plan->command = GO_END;
}

void session_select(const kv_call *call)
{
    int64_t number;
    if (!resp_to_integer(call->args->argv[1], &number) || number != (int32_t)number)
        call_say_error(call, call_out_of_range);
    else if (number != 0)
        call_say_error(call, "ERR DB index is out of range");
    else
        call_say(call, "+OK\r\n");
}

/* False: it can't be so, and that is said. */
static bool is_name(const kv_call *call, resp_text name)
{
    for (uint32_t i = 0; i < name.size; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') {
            call_say_error(call, "ERR Client names cannot contain spaces, newlines or special characters.");
            return false;
        }
    }
    if (name.size > COMMAND_NAME_MAX) {
        call_say_error(call, "ERR Client names cannot be longer than 64 bytes.");
        return false;
    }
    return true;
}

/* Steps before it may be read once more, and tell the name as it was: so it goes alone. */
static void take_name(const kv_call *call, resp_text name)
{
    call->next->is_alone = true;
    call->next->name = name;
}

void session_hello(const kv_call *call)
{
    const resp_args *args = call->args;
    resp_text name = {NULL, 0};
    int64_t version = 2;
    if (args->count > 1 && !resp_to_integer(args->argv[1], &version)) {
        call_say_error(call, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (version != 2) {
        call_say_error(call, "NOPROTO unsupported protocol version");
        return;
    }
    for (uint32_t i = 2; i < args->count; i += 2) {
        if (!resp_is_word(args->argv[i], "setname") || i + 1 == args->count) {
            CALL_SAY_ERROR(call, "ERR Syntax error in HELLO option '%.*s'", (int)(args->argv[i].size & 127),
                           (const char *)args->argv[i].data);
            return;
        }
        name = args->argv[i + 1];
        if (!is_name(call, name))
            return;
    }
    if (name.data != NULL)
        take_name(call, name);
    snprintf(
        call->text, COMMAND_TEXT_MAX,
        "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:%llu\r\n"
        "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
        (unsigned long long)call->client->id);
    call_say(call, call->text);
}

/* True: there are so many arguments. Otherwise that is said. */
static bool has_arguments(const kv_call *call, uint32_t count, const char *name)
{
    if (call->args->count == count)
        return true;
    CALL_SAY_ERROR(call, "ERR wrong number of arguments for '%s' command", name);
    return false;
}

void session_client(const kv_call *call)
{
    const resp_args *args = call->args;
    resp_text what = args->argv[1];
    if (resp_is_word(what, "setname")) {
        if (!has_arguments(call, 3, "client|setname") || !is_name(call, args->argv[2]))
            return;
        take_name(call, args->argv[2]);
        call_say(call, "+OK\r\n");
    } else if (resp_is_word(what, "getname")) {
        if (has_arguments(call, 2, "client|getname") && call->client->name_size == 0)
            call_say(call, "$-1\r\n");
        else if (args->count == 2)
            call_echo(call, (resp_text){(const uint8_t *)call->client->name, call->client->name_size});
    } else if (resp_is_word(what, "id")) {
        uint32_t size = resp_put_line((uint8_t *)call->text, ':', (int64_t)call->client->id);
        if (has_arguments(call, 2, "client|id"))
            call_say_bytes(call, call->text, size);
    } else if (resp_is_word(what, "setinfo")) {
        if (has_arguments(call, 4, "client|setinfo"))
            call_say(call, "+OK\r\n");
    } else {
        call_wrong_subcommand(call, "CLIENT");
    }
}

static uint32_t setting(const kv_call *call, resp_text name, char *text)
{
    if (resp_is_word(name, "save"))
        return (uint32_t)sprintf(text, "$4\r\nsave\r\n$0\r\n\r\n");
    if (resp_is_word(name, "appendonly"))
        return (uint32_t)sprintf(text, "$10\r\nappendonly\r\n%s\r\n", call->client->is_logged ? "$3\r\nyes" : "$2\r\nno");
    if (!resp_is_word(name, "maxmemory"))
        return 0;
    char number[24];
    int size = snprintf(number, sizeof number, "%llu", (unsigned long long)call->client->memory_max);
    return (uint32_t)sprintf(text, "$9\r\nmaxmemory\r\n$%d\r\n%s\r\n", size, number);
}

void session_config(const kv_call *call)
{
    const resp_args *args = call->args;
    if (!resp_is_word(args->argv[1], "get")) {
        call_wrong_subcommand(call, "CONFIG");
        return;
    }
    if (args->count < 3) {
        call_say_error(call, "ERR wrong number of arguments for 'config|get' command");
        return;
    }
    char pairs[COMMAND_TEXT_MAX];
    uint32_t size = 0, count = 0;
    for (uint32_t i = 2; i < args->count && size + 80 < COMMAND_TEXT_MAX - 16; i++) {
        uint32_t more = setting(call, args->argv[i], pairs + size);
        count += more != 0;
        size += more;
    }
    uint32_t head = resp_put_line((uint8_t *)call->text, '*', 2 * count);
    memcpy(call->text + head, pairs, size);
    call_say_bytes(call, call->text, head + size);
}
