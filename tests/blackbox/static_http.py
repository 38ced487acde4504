#!/usr/bin/env python3
"""static_files answers as RFC 9110 and RFC 9112 say, byte for byte, and serves nothing but what lies below its root."""

import contextlib
import os
import shutil
import subprocess

from _echo import PATIENCE, Program, check, run_each, run_once
from _static import SECRET, Client, FileServer, ask_once, fill, folder

SIZES = (0, 1, 700, 1023, 1024, 1025, 4096, 65_537, 3_000_000)


def whole_files(backend):
    """Of all sizes, one after another on one connection; and their heads, which bring no body."""
    with folder() as root, FileServer(root, "--backend", backend) as server:
        data = {size: fill(root / f"{size}.bin", size, seed=size) for size in SIZES}
        with Client(server) as client:
            for size in SIZES:
                answer = client.ask(f"/{size}.bin")
                check((answer.status, answer.body) == (200, data[size]), size, "bytes:", answer.status)
                check(not answer.is_last(), answer.fields)
                head = client.ask(f"/{size}.bin", method="HEAD")
                check((head.status, head.fields) == (200, answer.fields), "another head:", head.fields)
            check(client.ask("/a.txt", "Connection: close").is_last(), "the end is not told")
            client.check_end()
        server.stop_clean()


def names_and_types(backend):
    with folder() as root, FileServer(root, "--backend", backend) as server:
        (root / "sub folder").mkdir()
        for name in ("sub folder/index.html", "sub folder/é%2.png", "noending", "x.tar.gz"):
            (root / name).write_text(name, encoding="utf-8")
        for target, name, kind in (("/sub%20folder/", "sub folder/index.html", "text/html; charset=utf-8"),
                                   ("/sub%20folder/%C3%A9%252.png?a=b", "sub folder/é%2.png", "image/png"),
                                   ("/noending", "noending", "application/octet-stream"),
                                   ("http://localhost/x.tar.gz", "x.tar.gz", "application/gzip"),
                                   ("//x.tar.gz", "x.tar.gz", "application/gzip")):
            answer = ask_once(server, target)
            check((answer.status, answer.body.decode()) == (200, name), target, answer.status)
            check(answer.fields["content-type"] == kind, target, answer.fields)
        check(ask_once(server, "/").body == b"<p>the first page\n", "no index")
        server.stop_clean()


def ranges(backend):
    with folder() as root, FileServer(root, "--backend", backend) as server, Client(server) as client:
        data = fill(root / "data.bin", 100_000)
        for text, first, last in (("0-0", 0, 0), ("10-19", 10, 19), ("99999-", 99_999, 99_999), ("50-", 50, 99_999),
                                  ("-1", 99_999, 99_999), ("-200000", 0, 99_999), ("70000-200000", 70_000, 99_999)):
            answer = client.ask("/data.bin", f"Range: bytes={text}")
            check(answer.status == 206 and answer.body == data[first:last + 1], text, answer.status, len(answer.body))
            check(answer.fields["content-range"] == f"bytes {first}-{last}/100000", text, answer.fields)
        for text in ("100000-", "-0", "9999999999999999999999-"):
            answer = client.ask("/data.bin", f"Range: bytes={text}")
            check(answer.status == 416 and answer.fields["content-range"] == "bytes */100000", text, answer.fields)
        for text in ("1-2,4-5", "2-1", "x", ""):
            answer = client.ask("/data.bin", f"Range: bytes={text}")
            check(answer.status == 200 and answer.body == data, text, answer.status)
        answer = client.ask("/data.bin", "Range: bytes=1-2", 'If-Range: "an older one"')
        check(answer.status == 200, "a range of another file than was meant")
        client.peer.close()
        server.stop_clean()


def refusals(backend):
    """Those after which the connection goes on, and those after which it does not."""
    with folder() as root, FileServer(root, "--backend", backend) as server:
        (root / "sub").mkdir()
        os.mkfifo(root / "pipe")
        os.symlink("loop", root / "loop")
        with Client(server) as client:
            for target in ("/none", "/none/", "/sub", "/sub/", "/a.txt/", "/a.txt/x", "/pipe", "/loop", "/" + "x" * 300):
                answer = client.ask(target)
                check(answer.status == 404 and answer.body == b"404 Not Found\n", target, answer.status)
            answer = client.ask("/a.txt", "Content-Length: 0", method="POST")
            check(answer.status == 405 and answer.fields["allow"] == "GET, HEAD", answer.fields)
            check(client.ask("/a.txt", method="BREW").status == 501, "a method that nobody knows")
            check(client.ask("/none", method="HEAD").fields["content-length"] == "14", "another head")
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            check(client.answer().status == 400, "no host")
            client.check_end()
        if os.geteuid() != 0:  # who may read everything
            (root / "closed.txt").touch(mode=0)
            check(ask_once(server, "/closed.txt").status == 403, "a file that may not be read")
        server.stop_clean()


def nothing_leaves_the_root(backend):
    tricks = ("/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/.%2e/secret.txt", "/..%2fsecret.txt",
              "/..%2Fsecret.txt", "/%2e%2e%2fsecret.txt", "/..%5csecret.txt", "/..\\secret.txt", "//../secret.txt",
              "/%252e%252e/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/..%00/secret.txt", "/../secret.txt%00.html",
              "/./../secret.txt", "/.../secret.txt", "/..;/secret.txt", "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
              "//etc/passwd", "///etc/passwd", "/%2fetc/passwd", "http://localhost/../secret.txt", "../secret.txt",
              "secret.txt", "/root/../../secret.txt", "/.hidden", "/sub/.hidden", "/%2ehidden", "file:///etc/passwd", "*")
    with folder() as root, FileServer(root, "--backend", backend) as server:
        (root / "sub").mkdir()
        for name in (".hidden", "sub/.hidden"):
            (root / name).write_bytes(SECRET)
        for target in tricks:
            answer = ask_once(server, target)
            check(answer.status in (400, 404), target, answer.status)
            check(SECRET not in answer.body and b"root:" not in answer.body, target)
        os.symlink("../secret.txt", root / "link.txt")
        check(ask_once(server, "/link.txt").body == SECRET, "links are followed, which the example says")
        server.stop_clean()


def pieces_and_pipelines(backend):
    """A request a byte at a time, a hundred at once, bodies between them, and more than a buffer's worth of fields."""
    with folder() as root, FileServer(root, "--backend", backend) as server:
        data = fill(root / "data.bin", 50_000)
        with Client(server) as client:
            for byte in b"\r\nGET /a.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=3-5\r\n\r\n":
                client.send(bytes([byte]))
            check(client.answer().body == b"345", "another answer to pieces")
            client.send(b"GET /data.bin HTTP/1.1\r\nHost: h\r\n\r\nHEAD /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"
                        b"GET /none HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" * 30)
            for _ in range(30):
                check(client.answer().body == data, "another first answer")
                check(client.answer(has_body=False).status == 200, "another second answer")
                check(client.answer().status == 404, "another third answer")
            client.send(b"GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n" + bytes(65536))
            check(client.answer().status == 200, "a body that is dropped")
            check(client.ask("/a.txt", "Cookie: " + "x" * 7000).status == 200, "a long head")
            check(client.ask("/a.txt", "Cookie: " + "x" * 9000).status == 431, "too long a head")
            client.check_end()
        server.stop_clean()


def older_clients(backend):
    with folder() as root, FileServer(root, "--backend", backend) as server:
        with Client(server) as client:
            client.send(b"GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            check(client.answer().fields["connection"] == "keep-alive", "no word that it goes on")
            client.send(b"GET /a.txt HTTP/1.0\r\n\r\n")
            check(client.answer().is_last(), "no word that it is the end")
            client.check_end()
        with Client(server) as client:  # which says all at once, and that it is all
            client.send(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
            client.no_more_requests()
            check(client.answer().status == 200, "no answer through a half-closed connection")
            client.check_end()
        server.stop_clean()


def file_that_becomes_shorter(backend):
    """While it is sent: the connection ends before all of it was there, and the server goes on."""
    size = 64 << 20
    with folder() as root, FileServer(root, "--backend", backend) as server, Client(server) as client:
        with open(root / "large.bin", "wb") as file:
            file.truncate(size)
            client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
            check(client.head()[1]["content-length"] == str(size), "another length")
            file.truncate(1 << 20)
        seen = len(client.rest)
        with contextlib.suppress(ConnectionResetError):
            while piece := client.peer.recv(1 << 20):
                seen += len(piece)
        check(seen < size, "all of a file that was not there any more")
        check(ask_once(server, "/a.txt").status == 200, "the server is gone")
        server.stop_clean()


def with_curl(backend):
    if shutil.which("curl") is None:
        print("skipped: there is no curl here")
        return
    with folder() as root, FileServer(root, "--backend", backend) as server:
        data = fill(root / "data.bin", 5_000_000)
        url = f"http://127.0.0.1:{server.port}"

        def curl(*options):
            command = ["curl", "-sS", "--max-time", str(30 * PATIENCE), "--path-as-is", *options]
            return subprocess.run(command, capture_output=True, check=True).stdout

        check(curl(f"{url}/data.bin") == data, "another file")
        check(curl("-r", "1000-1999", f"{url}/data.bin") == data[1000:2000], "another range")
        check(curl(f"{url}/a.txt", f"{url}/data.bin", f"{url}/") == b"0123456789\n" + data + b"<p>the first page\n",
              "another three files on one connection")
        check(curl("-0", f"{url}/a.txt") == b"0123456789\n", "another file by HTTP/1.0")
        check(b"Content-Length: 5000000\r\n" in curl("-I", f"{url}/data.bin"), "another head")
        for options, status in ((("/none",), 404), (("/../secret.txt",), 404), (("-X", "DELETE", "/a.txt"), 405),
                                (("-d", "a=b", "/a.txt"), 405), (("-r", "6000000-", "/data.bin"), 416),
                                (("-d", "x" * 100_000, "/a.txt"), 413), (("-T", "/dev/null", "/a.txt"), 411)):
            *before, target = options
            said = curl("-o", "/dev/null", "-w", "%{http_code}", *before, url + target).decode()
            check(said == str(status), options[:2], said)
        server.stop_clean()


def wrong_options():
    """Status 2, and a line that says what would be right."""
    for options, expected in ((("--root", "/dev/null"), "--root takes a folder"), (("--root",), "--root needs a value"),
                              (("--host", "localhost"), "--host takes a numeric address"),
                              (("--timeout", "0"), "--timeout takes a number from 1 to 3600")):
        with Program("static_files", *options) as program:
            check(program.wait() == 2, options, "exit status", program.process.returncode)
            check(len(program.lines) == 1 and expected in program.lines[0], program.lines)


if __name__ == "__main__":
    run_each(whole_files, names_and_types, ranges, refusals, nothing_leaves_the_root, pieces_and_pipelines, older_clients,
             file_that_becomes_shorter, with_curl)
    run_once(wrong_options)
