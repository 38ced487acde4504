#!/usr/bin/env python3
"""A real client library speaks to kv: Python's redis, with its own parser and with hiredis's, where they are installed."""

import importlib.util
import threading

from _kv import VALUE_LIMIT, Kv, backends, check, folder, pattern, wait_until

try:
    import redis
except ImportError:
    redis = None

KEYS_OF_EACH = 300


def parsers():
    yield redis.connection.PythonParser
    if importlib.util.find_spec("hiredis"):
        yield redis.connection.HiredisParser
    else:
        print("skipped: hiredis's parser, which is not there (scripts/setup)")


def strings(client):
    check(client.flushall() is True and client.dbsize() == 0, "an empty server")
    check(client.ping() is True and client.echo("hello") == b"hello", "ping and echo")
    check(client.set("k", "v") is True and client.get("k") == b"v" and client.get("missing") is None, "set and get")
    check(client.set("k", "w", nx=True) is None and client.set("k", "x", xx=True) is True, "set with nx and xx")
    check(client.set("new", 1, ex=1000, nx=True) is True and 990 <= client.ttl("new") <= 1000, "set with ex")
    check(client.set("new", 1, px=500_000) is True and 490_000 <= client.pttl("new") <= 500_000, "set with px")
    check(client.expire("k", 100) and 90 <= client.ttl("k") <= 100 and client.ttl("missing") == -2, "expire")
    check(client.mset({"a": 1, "b": b"\0\xff", "c": ""}) is True, "mset")
    check(client.mget("a", "b", "missing", "c") == [b"1", b"\0\xff", None, b""], "mget")
    check(client.exists("a", "b", "missing") == 2 and client.delete("a", "b", "missing") == 2, "exists and del")
    large = pattern(3, VALUE_LIMIT)
    check(client.set("large", large) and client.get("large") == large, "the largest value")


def numbers(client):
    client.flushall()
    check([client.incr("n"), client.incr("n", 10), client.decr("n"), client.incrby("n", -20)] == [1, 11, 10, -10], "counting")
    client.set("word", "word")
    try:
        client.incr("word")
        check(False, "a word was counted up")
    except redis.ResponseError as error:
        check(str(error) == "value is not an integer or out of range", error)


def pipelines(client):
    client.flushall()
    with client.pipeline(transaction=False) as pipe:
        for i in range(2000):
            pipe.set(f"k{i}", i).incr(f"k{i}").get(f"k{i}")
        said = pipe.execute()
    check(said == [answer for i in range(2000) for answer in (True, i + 1, b"%d" % (i + 1))], "a pipeline's answers")
    with client.pipeline(transaction=False) as pipe:
        said = pipe.set("k", "word").incr("k").get("k").execute(raise_on_error=False)
    check(said[0] is True and isinstance(said[1], redis.ResponseError) and said[2] == b"word", "an error among answers")


def about_the_server(client):
    client.flushall()
    client.set("k", 1)
    info = client.info()
    check(info["db0"]["keys"] == 1 and info["used_memory"] > 0 and "redis_version" in info, info)
    check(client.command_count() == len(client.command()), "command and its count")
    check(client.command()["get"]["arity"] == 2, "get's arity")
    with client.client() as one:  # a connection of its own, for what lasts
        check(one.client_setname("me") is True and one.client_getname() == "me", "a connection's name")


def many_threads(client):
    """Each has a connection of the client's pool, and counts."""
    client.flushall()
    failures = []

    def work(number):
        try:
            for i in range(KEYS_OF_EACH):
                client.set(f"{number}:{i}", i)
                client.incr("all")
                check(client.get(f"{number}:{i}") == b"%d" % i, "another's value")
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, failures)
    check(client.get("all") == b"%d" % (8 * KEYS_OF_EACH) and client.dbsize() == 8 * KEYS_OF_EACH + 1, "the counts")


def pool_of(server, parser, **wishes):
    return redis.Redis(connection_pool=redis.ConnectionPool(host="127.0.0.1", port=server.port, parser_class=parser,
                                                            socket_timeout=60, **wishes))


def it_connects_again(backend, parser):
    """The server ends and another begins in the same folder, on the same port: the client goes on, the values are there."""
    with folder() as place:
        with Kv(place, "--backend", backend, "--fsync", "always") as server:
            client = pool_of(server, parser, retry_on_error=[redis.ConnectionError],
                             retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100))
            client.mset({"a": 1, "b": 2})
            check(server.stop() == 0, "exit status", server.process.returncode)
        with Kv(place, "--backend", backend, port=server.port):
            wait_until(client.ping, "the client connects again")
            check(client.mget("a", "b") == [b"1", b"2"], "the values are gone")


def run():
    for backend in backends():
        for parser in parsers():
            with folder() as place, Kv(place, "--shards", 2, "--backend", backend, "--fsync", "never") as server:
                client = pool_of(server, parser)
                for test in (strings, numbers, pipelines, about_the_server, many_threads):
                    print(f"{test.__name__} {parser.__name__} {backend}", flush=True)
                    test(client)
                with pool_of(server, parser, client_name="named", decode_responses=True) as named:
                    check(named.set("k", "é") and named.get("k") == "é" and named.client_getname() == "named", "a name")
                client.close()
                check(server.stop() == 0, "exit status", server.process.returncode)
            it_connects_again(backend, parser)


if __name__ == "__main__":
    if redis:
        run()
    else:
        print("skipped: Python's redis is not there (scripts/setup)")
