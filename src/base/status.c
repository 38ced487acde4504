/* Public, but every layer has statuses to name: so it lies below them all. */
#include <stddef.h>
#include <tina/status.h>

#define NAME(status) [status] = #status

static const char *const names[] = {
    NAME(TINA_OK),           NAME(TINA_MAILBOX_FULL), NAME(TINA_CHANNEL_FULL), NAME(TINA_POOL_EXHAUSTED),
    NAME(TINA_STALE_HANDLE), NAME(TINA_SHARD_DOWN),   NAME(TINA_ARENA_FULL),   NAME(TINA_GROUP_FULL),
    NAME(TINA_INIT_FAILED),  NAME(TINA_NOT_OWNER),    NAME(TINA_BUSY),         NAME(TINA_INVALID),
    NAME(TINA_UNSUPPORTED),  NAME(TINA_STOPPING),     NAME(TINA_TIMED_OUT),    NAME(TINA_CANCELLED),
    NAME(TINA_CLOSED),       NAME(TINA_REFUSED),      NAME(TINA_RESET),        NAME(TINA_NOT_FOUND),
    NAME(TINA_DENIED),       NAME(TINA_DISK_FULL),    NAME(TINA_SYSTEM_ERROR),
};
TINA_STATIC_ASSERT(sizeof names / sizeof names[0] == TINA_SYSTEM_ERROR + 1, "every status has its name");

const char *tina_status_name(tina_status status)
{
    size_t index = (unsigned)status;
    return index < sizeof names / sizeof names[0] ? names[index] : "TINA_UNKNOWN";
}
