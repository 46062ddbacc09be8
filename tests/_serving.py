"""What the local HTTP servers of the tests have in common: how they begin and how they end."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from typing import Self


class Serving:
    """A server in a thread of its own; a context manager.

    Attributes:
        closing: Set as it ends: whoever keeps a client waiting lets go.
        address: Where it listens, without a path.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def serve(self, server: ThreadingHTTPServer) -> None:
        """Begin, once all is there that its handlers ask for."""
        self._server = server
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        self._loop = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self._loop.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._loop.join(5)
