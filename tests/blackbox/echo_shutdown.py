#!/usr/bin/env python3
"""SIGTERM while 10,000 (in CI: 2,000) connections talk: each gets its answer or its end, and all is over in time."""

import contextlib
import selectors
import time

from _echo import PATIENCE, Server, check, dial, pattern, run_each, soak_count

SIZE = 64
TALK = 3  # answers on each connection before the signal


class Player:
    """Sends the next word when the one before has come back, until it is told to stop."""

    def __init__(self, peer, seed):
        self.peer, self.word = peer, pattern(seed, SIZE)
        self.back = b""
        self.answers = 0
        peer.send(self.word)

    def step(self, is_over):
        """False: the server has closed the connection."""
        piece = self.peer.recv(SIZE)
        if not piece:
            return False
        self.back += piece
        check(self.word.startswith(self.back), "a wrong echo after", self.answers, "answers")
        if self.back == self.word:
            self.back = b""
            self.answers += 1
            if not is_over:
                self.peer.send(self.word)
        return True


def all_are_answered_or_closed(backend):
    count = soak_count(10_000, 2_000)
    with Server("--backend", backend, "--connections", count) as server, contextlib.ExitStack() as stack, \
            selectors.EpollSelector() as selector:
        players = []
        for i in range(count):
            players.append(Player(stack.enter_context(dial(server.port, i)), i))
            players[-1].peer.setblocking(False)
            selector.register(players[-1].peer, selectors.EVENT_READ, players[-1])
        deadline = time.monotonic() + 120 * PATIENCE
        is_over = False
        while selector.get_map():
            check(time.monotonic() < deadline, len(selector.get_map()), "connections are neither answered nor closed")
            for key, _ in selector.select(1):
                with contextlib.suppress(ConnectionError):  # what was on its way when the server closed was not accepted
                    if key.data.step(is_over):
                        continue
                check(is_over, "a connection ended before the SIGTERM")
                selector.unregister(key.fileobj)
            if not is_over and all(player.answers >= TALK for player in players):
                is_over = True
                server.process.terminate()
        server.check_end(server.wait())
        print(f"soak: {backend}: {count} connections talked when the signal came")


run_each(all_are_answered_or_closed)
