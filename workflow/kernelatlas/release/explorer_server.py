"""The explorer on this machine: its folder served to a browser, on 127.0.0.1 alone."""

import contextlib
import json
import mimetypes
import os
import signal
import socket
import sys
import threading
import webbrowser
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from kernelatlas.errors import KernelAtlasError
from kernelatlas.release.explorer_page import DATA, INDEX, VERSION

HOST = "127.0.0.1"
PORT = 8765  # or a free one
MAKE = "make it with `snakemake --cores all explorer`"
# Of the machine's own table of types some are missing or wrong: modules must be JavaScript.
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".npy": "application/octet-stream",
    ".svg": "image/svg+xml",
}
# `no-cache`: kept, but asked for again, so that a rebuilt explorer is seen.
HEADERS = [
    ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
]


def explore(folder: Path, port: int | None = None, browser: bool = True) -> None:
    """Serve an explorer until SIGINT or SIGTERM, and open it in the browser.

    Parameters
    ----------
    folder
        Of an explorer, or a release or results that hold one.
    port
        0 for a free one; by default 8765, or a free one if that is taken.
    browser
        Whether to open the browser, where there is a display.

    Raises
    ------
    KernelAtlasError
        If the folder holds no whole explorer of this version, or the port cannot be had.
    """
    found = find_explorer(folder)
    listener = _listen(port)
    address = f"http://{HOST}:{listener.getsockname()[1]}/"
    print(f"{found}: {address} (end with Ctrl-C)", flush=True)
    if browser and _has_display():
        # Some browsers are waited for; connections wait for the server.
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
    config = uvicorn.Config(
        application(found),
        headers=HEADERS,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=None,
        log_level="critical",  # a transfer that Ctrl-C ends is no error
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


def application(folder: Path) -> Starlette:
    """Return the server of a folder: GET and HEAD, ranges, no links that lead out of it."""
    for suffix, kind in TYPES.items():
        mimetypes.add_type(kind, suffix)
    # A page elsewhere whose name was made to mean this machine must not read here.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    files = StaticFiles(directory=folder, html=True)
    return Starlette(routes=[Mount("/", files)], middleware=[hosts])


def find_explorer(folder: Path) -> Path:
    """Return the explorer that a folder is or holds, after a look at its files.

    Raises
    ------
    KernelAtlasError
        If there is none, it is of another version, or a file is missing or damaged.
    """
    if not folder.is_dir():
        raise KernelAtlasError(f"{folder}: no such folder: check the path, or {MAKE}")
    places = [folder, folder / "explorer"]
    for place in places:
        if (place / "index.html").is_file() or (place / DATA).is_dir():
            _check(place)
            return place
    raise KernelAtlasError(f"{folder}: no explorer, and none in {places[1]}: {MAKE}")


def _check(folder: Path) -> None:
    again = "copy the folder again, or " + MAKE.replace("make it", "make it again")
    if not (folder / "index.html").is_file():
        raise KernelAtlasError(f"{folder / 'index.html'}: missing: {again}")
    path = folder / DATA / INDEX
    try:
        index = json.loads(path.read_bytes())
        version, files = index["version"], index.get("files", {}).items()
    except FileNotFoundError as error:
        raise KernelAtlasError(f"{path}: missing, the data are incomplete: {again}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise KernelAtlasError(f"{path}: damaged ({error}): {again}") from error
    if version != VERSION:
        raise KernelAtlasError(
            f"{path}: data of version {version}, but this is for version {VERSION}: use the Kernel "
            f"Atlas that made it ({index.get('tool', 'unknown')}), or {MAKE}"
        )
    for name, expected in files:
        file = path.parent / name
        try:
            found = file.stat().st_size
        except OSError as error:
            raise KernelAtlasError(f"{file}: missing ({error.strerror}): {again}") from error
        if found != expected:
            raise KernelAtlasError(
                f"{file}: damaged, {found} bytes where the index has {expected}: {again}"
            )


def _listen(port: int | None) -> socket.socket:
    for attempt in [PORT, 0] if port is None else [port]:
        listener = socket.socket()
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, attempt))
            listener.listen()
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            reason = error
    raise KernelAtlasError(
        f"port {port}: cannot be used ({getattr(reason, 'strerror', reason)}): name another with "
        "--port, or leave it out for a free one"
    ) from reason


def _has_display() -> bool:
    # Without one `webbrowser` would start a text browser in this terminal.
    if sys.platform in ("darwin", "win32"):
        return True
    return any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
