/*
 * Names of Unix sockets. A path is a name in the host's file system, which outlives
 * its socket; one that begins with a zero byte is in a space of its own, and goes
 * with its socket. Streams and datagrams share the first, and have each their own of
 * the second.
 */
#include "sim/net_inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHOICES 0x100000 /* names of the net's choice: five digits */

TINA_STATIC_ASSERT(sizeof((tina__net_name *)0)->path < TINA__DISK_PATH_MAX, "every path of a socket is one of the disk's");

static bool is_abstract(const tina__net_name *name) { return name->path[0] == '\0'; }

/* ---- Names and addresses -------------------------------------------------------------- */

bool tina__net_is_address(const tina_address *address)
{
    bool is_known = address->family >= TINA_IPV4 && address->family <= TINA_UNIX;
    return is_known && (address->family != TINA_UNIX || address->length <= sizeof address->path);
}

tina__net_name tina__net_name_of(const tina_address *address)
{
    tina__net_name name = {.length = address->length};
    tina__assert(address->length <= sizeof name.path);
    memcpy(name.path, address->path, name.length);
    if (!is_abstract(&name))
        name.length = (uint8_t)strnlen(name.path, name.length);
    return name;
}

void tina__net_name_write(const tina__net_name *name, tina_address *address)
{
    *address = (tina_address){.family = TINA_UNIX, .length = name->length};
    memcpy(address->path, name->path, name->length);
}

void tina__net_local_write(const tina__net_socket *socket, tina_address *address)
{
    if (tina__net_is_unix(socket))
        tina__net_name_write(&socket->unix_end.name, address);
    else
        tina__net_endpoint_write(&socket->local, socket->family, address);
}

void tina__net_remote_write(const tina__net_socket *socket, tina_address *address)
{
    if (tina__net_is_unix(socket))
        tina__net_name_write(&socket->unix_end.peer_name, address);
    else
        tina__net_endpoint_write(&socket->remote, socket->family, address);
}

/* ---- Having one -------------------------------------------------------------------------- */

static uint32_t find_abstract(const tina__net *net, const tina__net_name *name, uint8_t type)
{
    for (uint32_t index = 0; index < net->slots.fresh; index++) {
        const tina__net_socket *socket = &net->sockets[index];
        const tina__net_name *its = &socket->unix_end.name;
        if (socket->state != TINA__SOCKET_FREE && socket->unix_end.is_found && socket->type == type &&
            its->length == name->length && memcmp(its->path, name->path, name->length) == 0)
            return index;
    }
    return TINA__NONE;
}

/* There are more than there can be sockets. */
static tina__net_name choose(tina__net *net, uint8_t type)
{
    tina__net_name name = {.length = 6};
    do {
        snprintf(name.path + 1, sizeof name.path - 1, "%05x", (unsigned)(net->next_name++ % CHOICES));
    } while (find_abstract(net, &name, type) != TINA__NONE);
    return name;
}

static int bind_path(tina__net *net, uint32_t index, const tina__net_name *name)
{
    char path[sizeof name->path + 1] = {0};
    memcpy(path, name->path, name->length);
    return tina__disk_socket_bind(net->disk, path, index, &tina__net_at(net, index)->unix_end.node);
}

int tina__net_name_bind(tina__net *net, uint32_t index, const tina__net_name *name)
{
    tina__net_socket *socket = tina__net_at(net, index);
    tina__assert(socket->unix_end.name.length == 0);
    tina__net_name own = name->length == 0 ? choose(net, socket->type) : *name;
    int error = 0;
    if (!is_abstract(&own))
        error = bind_path(net, index, &own);
    else if (find_abstract(net, &own, socket->type) != TINA__NONE)
        error = EADDRINUSE;
    if (error != 0)
        return error;
    socket->unix_end.name = own;
    socket->unix_end.is_found = true;
    return 0;
}

void tina__net_name_release(tina__net *net, uint32_t index)
{
    tina__net_unix_end *end = &tina__net_at(net, index)->unix_end;
    if (end->is_found && !is_abstract(&end->name))
        tina__disk_socket_gone(net->disk, end->node);
    end->is_found = false;
}

/* ---- Whom it leads to ----------------------------------------------------------------------- */

static tina_status status_of(int error)
{
    switch (error) {
    case ECONNREFUSED: return TINA_REFUSED;
    case ENOENT:
    case ENOTDIR: return TINA_NOT_FOUND;
    default: return TINA_SYSTEM_ERROR;
    }
}

/* 0, or errno. */
static int find(tina__net *net, const tina__net_name *name, uint8_t type, uint32_t *found)
{
    if (is_abstract(name)) {
        *found = find_abstract(net, name, type);
        return *found == TINA__NONE ? ECONNREFUSED : 0;
    }
    char path[sizeof name->path + 1] = {0};
    memcpy(path, name->path, name->length);
    int error = tina__disk_socket_find(net->disk, path, found);
    if (error != 0)
        return error;
    return tina__net_at(net, *found)->type == type ? 0 : EPROTOTYPE;
}

uint32_t tina__net_name_find(tina__net *net, const tina__net_name *name, uint8_t type, tina__net_outcome *why)
{
    uint32_t found = TINA__NONE;
    int error = find(net, name, type, &found);
    if (error == 0)
        return found;
    *why = (tina__net_outcome){status_of(error), error};
    return TINA__NONE;
}
