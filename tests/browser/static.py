"""A plain static server as many are: `python static.py ranges` answers one range, `none` none.

Of several ranges it sends the whole file, as object stores do. It prints its address.
"""

import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not found or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first, last = int(found[1]), min(int(found[2]), len(content) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


class Whole(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"


if __name__ == "__main__":
    handler = {"ranges": Handler, "none": Whole}[sys.argv[1]]
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=sys.argv[2]))
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
