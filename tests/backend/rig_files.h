/*
 * Files for a backend to work on. On a real disk they lie in a folder of the
 * test's own and are looked at by plain system calls; on a made one by the backend
 * itself. Part of rig.h.
 */
#ifndef TESTS_BACKEND_RIG_FILES_H
#define TESTS_BACKEND_RIG_FILES_H

#include "rig_ends.h"
#include "rig_requests.h"

#include <sys/stat.h>

#define RIG_OPEN_NEW (TINA_OPEN_READ | TINA_OPEN_WRITE | TINA_OPEN_CREATE)

/* The path of that name. */
static inline const char *rig_path(test_rig *rig, const char *name, char path[RIG_PATH_SIZE])
{
    if (!rig_is_made(rig) && rig->folder[0] == '\0') {
        snprintf(rig->folder, sizeof rig->folder, "/tmp/tina-rig-XXXXXX");
        assert_non_null(mkdtemp(rig->folder));
    }
    int length = snprintf(path, RIG_PATH_SIZE, "%s/%s", rig->folder, name);
    assert_in_range(length, 1, RIG_PATH_SIZE - 1);
    return path;
}

/* What an OPEN brought. */
static inline rig_fd rig_opened(test_rig *rig, const rig_request *request)
{
    assert_int_equal(request->completion.status, TINA_OK);
    return rig_adopt_as(rig, request->completion.os_fd, request->completion.fd_class);
}

static inline rig_fd rig_file(test_rig *rig, const char *name, uint32_t flags)
{
    char path[RIG_PATH_SIZE];
    rig_request *request = rig_open(rig, rig_path(rig, name, path), flags);
    assert_int_equal(rig_do(rig, request), TINA_OK);
    assert_int_equal(request->completion.fd_class, TINA__FD_FILE);
    return rig_opened(rig, request);
}

static inline void rig_put_made_file(test_rig *rig, const char *name, const uint8_t *data, uint32_t size)
{
    rig_fd file = rig_file(rig, name, RIG_OPEN_NEW | TINA_OPEN_TRUNCATE);
    rig_request *writing = rig_write_at(rig, file, 0, data, size);
    for (uint32_t done = 0; done < size; done += (uint32_t)writing->completion.size) {
        writing->request.offset = done;
        writing->request.data = data + done;
        writing->request.size = size - done;
        assert_int_equal(rig_do(rig, writing), TINA_OK);
        assert_in_range(writing->completion.size, 1, size - done);
        rig_renew(writing);
    }
    rig_close_fd(rig, file);
}

/* A file of that name and content. */
static inline void rig_put_file(test_rig *rig, const char *name, const void *data, uint32_t size)
{
    if (rig_is_made(rig)) {
        rig_put_made_file(rig, name, data, size);
        return;
    }
    char path[RIG_PATH_SIZE];
    int os_fd = open(rig_path(rig, name, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(os_fd >= 0);
    assert_int_equal(write(os_fd, data, size), size);
    close(os_fd);
}

static inline uint32_t rig_get_made_file(test_rig *rig, rig_fd file, uint8_t *into, uint32_t max)
{
    uint32_t size = 0;
    rig_request *reading = rig_read_at(rig, file, 0, 0);
    do {
        reading->request.offset = size;
        assert_int_equal(rig_do(rig, reading), TINA_OK);
        assert_true(size + reading->completion.size <= max);
        if (reading->completion.size != 0)
            memcpy(into + size, rig_data(rig, reading), reading->completion.size);
        size += (uint32_t)reading->completion.size;
        rig_lend_back(rig, reading);
        rig_renew(reading);
    } while (reading->completion.size != 0);
    return size;
}

/* Its content, and how much that is: at most max. */
static inline uint32_t rig_get_file(test_rig *rig, const char *name, void *into, uint32_t max)
{
    if (rig_is_made(rig)) {
        rig_fd file = rig_file(rig, name, TINA_OPEN_READ);
        uint32_t made_size = rig_get_made_file(rig, file, into, max);
        rig_close_fd(rig, file);
        return made_size;
    }
    char path[RIG_PATH_SIZE];
    int os_fd = open(rig_path(rig, name, path), O_RDONLY | O_CLOEXEC);
    assert_true(os_fd >= 0);
    ssize_t size = read(os_fd, into, max);
    close(os_fd);
    assert_true(size >= 0);
    return (uint32_t)size;
}

static inline void rig_assert_file(test_rig *rig, const char *name, const void *content, uint32_t size)
{
    uint8_t *got = malloc(size + 1);
    assert_non_null(got);
    assert_int_equal(rig_get_file(rig, name, got, size + 1), size);
    if (size != 0)
        assert_memory_equal(got, content, size);
    free(got);
}

static inline bool rig_has_file(test_rig *rig, const char *name)
{
    char path[RIG_PATH_SIZE];
    rig_request *request = rig_open(rig, rig_path(rig, name, path), TINA_OPEN_READ);
    if (rig_do(rig, request) == TINA_OK) {
        rig_close_fd(rig, rig_opened(rig, request));
        return true;
    }
    assert_int_equal(request->completion.status, TINA_NOT_FOUND);
    return false;
}

#endif
