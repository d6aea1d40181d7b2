"""`kernelatlas explore`: a real process that serves a folder, asked over real connections."""

import email
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import kernelatlas

COMMAND = [sys.executable, "-m", "kernelatlas", "explore"]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if k not in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")},
    "PYTHONPATH": str(Path(kernelatlas.__file__).parents[1]),
}
WEIGHTS = np.random.default_rng(0).integers(-127, 128, (30_000, 7, 7), dtype=np.int8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "explorer"
    (folder / "data/7x7").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Kernels</title>")
    (folder / "main.js").write_text("export {};")
    np.save(folder / "data/7x7/weights.npy", WEIGHTS)
    files = {"7x7/weights.npy": 128 + WEIGHTS.size}
    (folder / "data/index.json").write_text(json.dumps({"version": 1, "files": files}))
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "inside.js").symlink_to("main.js")
    return folder


@contextmanager
def served(*arguments, **environment):
    """A server, and the port that it printed."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=ENVIRONMENT | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, process.communicate()
        process.port = int(line.partition("http://127.0.0.1:")[2].partition("/")[0])
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(folder):
    with served(folder, "--port", "0") as process:
        yield process


def ask(server, path="/", method="GET", **headers):
    """Return status, headers and body of one request, whose path is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_files_have_their_types_and_no_other_host_or_frame_is_let_in(server):
    for path, kind in {
        "/": "text/html; charset=utf-8",
        "/main.js": "text/javascript; charset=utf-8",
        "/inside.js": "text/javascript; charset=utf-8",
        "/data/index.json": "application/json",
        "/data/7x7/weights.npy": "application/octet-stream",
    }.items():
        status, headers, body = ask(server, path)
        assert (status, headers["Content-Type"]) == (200, kind), path
        assert int(headers["Content-Length"]) == len(body)
        policy = headers["Content-Security-Policy"].split("; ")
        assert policy == ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-cache"
        assert "Server" not in headers


def test_a_file_is_sent_again_only_when_it_changed(server):
    _, headers, _ = ask(server, "/main.js")
    assert ask(server, "/main.js", If_None_Match=headers["ETag"])[0] == 304


@pytest.mark.parametrize("asked", ["0-0", "128-176", "1470100-", "-49", "300-9999999999"])
def test_a_range_of_a_file_is_what_the_file_has_there(server, folder, asked):
    whole = (folder / "data/7x7/weights.npy").read_bytes()
    first, last = asked.split("-")
    expected = whole[int(first) : int(last) + 1 if last else None] if first else whole[-int(last) :]
    status, headers, body = ask(server, "/data/7x7/weights.npy", Range=f"bytes={asked}")
    assert (status, body) == (206, expected)
    assert headers["Content-Range"].endswith(f"/{len(whole)}")


def test_a_range_beyond_the_file_is_refused(server):
    assert ask(server, "/data/7x7/weights.npy", Range="bytes=9999999999-")[0] == 416


def test_a_hundred_ranges_are_one_answer_in_parts(server):
    places = np.random.default_rng(1).choice(len(WEIGHTS) // 2, 100, replace=False) * 2
    starts = 128 + 49 * places
    wanted = ",".join(f"{start}-{start + 48}" for start in starts)
    status, headers, body = ask(server, "/data/7x7/weights.npy", Range=f"bytes={wanted}")
    assert status == 206
    assert int(headers["Content-Length"]) == len(body)
    # Apart by Python's own reader of MIME, whose parts are text: read as Latin-1.
    boundary = headers.get_param("boundary")
    parts = body.split(f"--{boundary}".encode())[1:-1]
    found = {}
    for part in parts:
        fields, content = part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        span = email.message_from_bytes(fields)["Content-Range"].split()[1].partition("-")[0]
        found[(int(span) - 128) // 49] = np.frombuffer(content[:49], np.int8).reshape(7, 7)
        assert len(content) == 49 + 2  # and a line's end
    assert set(found) == set(places)
    for place, kernel in found.items():
        assert np.array_equal(kernel, WEIGHTS[place])


@pytest.mark.parametrize(
    "path",
    [
        *("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt"),
        *("/data/../../secret.txt", "/..%5csecret.txt", "/out.txt", "//etc/passwd"),
        *("/%2fetc/passwd", "/%00", "/data/7x7/weights.npy/x"),
        *("/data", "/data/", "/data/7x7/", "/nothing.js", "/main.js%00", "/" + "a" * 5000),
    ],
)  # fmt: skip
def test_nothing_outside_the_folder_and_no_listing_is_sent(server, path):
    status, _, body = ask(server, path)
    assert status in (400, 404), path
    assert b"secret" not in body
    assert b"weights" not in body
    assert b"root" not in body


def test_absolute_paths_of_the_machine_are_not_sent(server, folder):
    assert ask(server, f"/{folder.parent}/secret.txt")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_elsewhere_that_means_this_machine_is_refused(server, host):
    status, _, body = ask(server, Host=host)
    assert status == 400
    assert b"Kernels" not in body


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "localhost:8080"])
def test_the_names_of_this_machine_are_served(server, host):
    assert ask(server, Host=host)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_files_are_only_read(server, method):
    assert ask(server, method=method)[0] == 405


def test_head_tells_the_length_alone(server):
    status, headers, body = ask(server, "/data/7x7/weights.npy", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == 128 + WEIGHTS.size
    assert headers["Accept-Ranges"] == "bytes"


def test_only_this_machine_reaches_it(server):
    for address in ("127.0.0.2", socket.gethostbyname(socket.gethostname())):
        if address != "127.0.0.1":
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, server.port), timeout=5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("busy", [False, True])
def test_it_ends_without_a_word_even_while_it_sends(folder, number, busy):
    with served(folder, "--port", "0") as process:
        assert ask(process)[0] == 200
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            if busy:  # more than the buffers between the two hold, and never read
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                request = b"GET /data/7x7/weights.npy HTTP/1.1\r\nHost: localhost\r\n\r\n"
                client.sendall(request * 20)
                client.recv(100)
            started = time.monotonic()
            process.send_signal(number)
            told, error = process.communicate(timeout=20)
        assert (process.returncode, told, error) == (0, "", "")
        assert time.monotonic() - started < 5


def test_the_folder_may_be_that_of_the_results(folder):
    with served(folder.parent, "--port", "0") as process:
        assert b"Kernels" in ask(process)[2]


def test_a_taken_port_is_an_error_if_it_was_asked_for_and_another_if_not(folder):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 8765))
            other.listen()
        except OSError:
            pass  # taken by somebody else, which does as well
        done = refused(folder, "--port", 8765)
        assert done == (
            "ERROR port 8765: cannot be used (Address already in use): name another with --port, "
            "or leave it out for a free one"
        )
        with served(folder) as process:
            assert process.port != 8765
            assert ask(process)[0] == 200


def refused(*arguments):
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_an_error(folder, port):
    assert refused(folder, "--port", port).startswith(f"ERROR port {port}: cannot be used")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    error = refused(tmp_path / "explorer")
    assert error.startswith(f"ERROR {tmp_path / 'explorer'}: no such folder: ")
    assert error.endswith("`snakemake --cores all explorer`")


def test_a_folder_of_something_else_is_an_error(tmp_path):
    error = refused(tmp_path)
    assert error.startswith(f"ERROR {tmp_path}: no explorer, and none in {tmp_path}/explorer: ")


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("data/index.json", None, "missing, the data are incomplete"),
        ("data/index.json", b'{"version"', "damaged"),
        ("data/index.json", b"[]", "damaged"),
        ("data/index.json", b'{"version": 99, "files": {}, "tool": "9.0"}', "data of version 99"),
        ("data/7x7/weights.npy", None, "missing"),
        ("data/7x7/weights.npy", b"", "damaged"),
        (
            "data/7x7/weights.npy",
            b"\x93NUMPY\x01\x00",
            "damaged, 8 bytes where the index has 1470128",
        ),
        ("index.html", None, "missing"),
    ],
)
def test_a_damaged_explorer_is_an_error_that_names_the_file(folder, tmp_path, file, content, found):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_bytes(content)
    error = refused(copy)
    assert error.startswith(f"ERROR {copy / file}: ")
    assert found in error
    assert "`snakemake --cores all explorer`" in error


def test_the_browser_is_opened_with_the_address(folder, tmp_path):
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.partial\n'
                      f"mv {tmp_path}/opened.partial {tmp_path}/opened\n")  # fmt: skip
    script.chmod(0o755)
    with served(folder, BROWSER=str(script)) as process:
        deadline = time.monotonic() + 20
        while not (tmp_path / "opened").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (tmp_path / "opened").read_text() == f"http://127.0.0.1:{process.port}/\n"
    (tmp_path / "opened").unlink()
    with served(folder, "--no-browser", BROWSER=str(script)) as process:
        assert ask(process)[0] == 200
        time.sleep(0.5)
    assert not (tmp_path / "opened").exists()


def test_other_commands_start_without_the_server():
    code = (
        "import sys, kernelatlas.__main__ as m; m.main(['show', 'a', 'b', '0', '--results', 'no']);"
        "print(sorted({'starlette', 'uvicorn', 'anyio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, text=True, capture_output=True
    )
    assert done.stdout == "[]\n"
