"""A tracking server for tests, in this process."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Server:
    """A tracking server in this process; with a password it asks for user `me`."""

    port: int = 0
    password: str = ""

    def address(self, user: str = "") -> str:
        return f"http://{user}{'@' if user else ''}127.0.0.1:{self.port}"

    def guards(self, app: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
            given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Basic ")
            if self.password and base64.b64decode(given).decode() != f"me:{self.password}":
                start("401 Unauthorized", [("Content-Type", "text/plain")])
                return [b"no"]
            return app(environ, start)

        return guarded
