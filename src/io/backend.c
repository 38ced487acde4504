#include "io/backend.h"

#include <string.h>

size_t tina__backend_memory(uint8_t wanted, const tina__backend_config *config)
{
    size_t uring_size = tina__uring_backend.memory_size(config);
    size_t epoll_size = tina__epoll_backend.memory_size(config);
    switch ((tina_backend)wanted) {
    case TINA_BACKEND_URING: return uring_size;
    case TINA_BACKEND_EPOLL: return epoll_size;
    case TINA_BACKEND_SIM: return 0; /* the made network brings its own */
    case TINA_BACKEND_KQUEUE:
    case TINA_BACKEND_IOCP:
    case TINA_BACKEND_AUTO: break;
    }
    return uring_size > epoll_size ? uring_size : epoll_size;
}

static tina_status open_any(const tina__backend_config *config, const tina__backend_api **api, tina__backend **backend,
                            int *os_error, const char **why)
{
    *api = &tina__uring_backend;
    if ((*api)->open(config, backend, os_error, why) == TINA_OK)
        return TINA_OK;
    memset(config->memory, 0, tina__uring_backend.memory_size(config));
    int refused_error = *os_error;
    const char *refused = *why;
    *api = &tina__epoll_backend;
    tina_status status = (*api)->open(config, backend, os_error, why);
    if (status == TINA_OK) {
        *os_error = refused_error;
        *why = refused;
    }
    return status;
}

tina_status tina__backend_open(uint8_t wanted, const tina__backend_config *config, const tina__backend_api **api,
                               tina__backend **backend, int *os_error, const char **why)
{
    *backend = NULL;
    *os_error = 0;
    *why = "";
    switch ((tina_backend)wanted) {
    case TINA_BACKEND_URING: *api = &tina__uring_backend; return (*api)->open(config, backend, os_error, why);
    case TINA_BACKEND_EPOLL: *api = &tina__epoll_backend; return (*api)->open(config, backend, os_error, why);
    case TINA_BACKEND_AUTO: return open_any(config, api, backend, os_error, why);
    case TINA_BACKEND_KQUEUE:
    case TINA_BACKEND_IOCP: *why = "it is another system's"; return TINA_UNSUPPORTED;
    case TINA_BACKEND_SIM: break; /* attached, not opened: see sim/net.h */
    }
    return TINA_INVALID;
}
