#!/usr/bin/env python3
"""Where a seccomp filter refuses io_uring, at its setup or when it is entered, the server uses epoll and says so."""

import ctypes
import errno
import platform
import struct

from _echo import Program, check, dial, echo, pattern, uring_is_allowed

SYSTEM_CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}  # on every architecture


def refuse(number, error):
    """Filters that call out of this process and those it becomes: it fails with the error."""
    def instruction(code, true, false, operand):
        return struct.pack("HBBI", code, true, false, operand)

    program = b"".join([
        instruction(0x20, 0, 0, 0),  # load the call's number
        instruction(0x15, 0, 1, number),  # is it this one?
        instruction(0x06, 0, 0, 0x00050000 | error),  # then fail
        instruction(0x06, 0, 0, 0x7FFF0000),  # else go on
    ])
    text = ctypes.create_string_buffer(program, len(program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0 or libc.prctl(set_seccomp, mode_filter, filters) != 0:
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def serves_over_epoll(call, error):
    def before():
        refuse(SYSTEM_CALLS[call], error)

    with Program("tcp_echo", "--serve", preexec=before) as server:
        port = int(server.wait_for(r"listening on .*:(\d+)")[1])
        server.wait_for(r"shard 0: epoll")
        reason = server.wait_for(r"io_uring is refused \((.+)\): using epoll")[1]
        for i in range(20):
            with dial(port, i) as peer:
                echo(peer, pattern(i, 50_000))
        check(server.stop() == 0, "exit status", server.process.returncode)
        print(f"{call} {errno.errorcode[error]}: {reason}")


def says_that_it_cannot(call, error):
    """Asked for by name, it is used or boot fails."""
    def before():
        refuse(SYSTEM_CALLS[call], error)

    with Program("tcp_echo", "--serve", "--backend", "uring", preexec=before) as server:
        check(server.wait() == 1, "exit status", server.process.returncode)
        server.wait_for("TINA_UNSUPPORTED.*io_uring")


if __name__ == "__main__":
    if not uring_is_allowed():
        print("skipped: this kernel refuses io_uring anyhow")
    elif platform.system() == "Linux":
        for system_call in ("io_uring_setup", "io_uring_enter", "io_uring_register"):
            for number_of_error in (errno.EPERM, errno.ENOSYS):
                serves_over_epoll(system_call, number_of_error)
                says_that_it_cannot(system_call, number_of_error)
