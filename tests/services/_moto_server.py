"""The program of moto's server, in which conditional writes of S3 are atomic, as they are in AWS.

Moto looks at an object and replaces it in two steps, between which another of its threads may do the
same: then two writers are both told that they were the first.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

from moto import server
from moto.s3.responses import S3Response

_CONDITIONAL = ("put_object", "_key_response_post", "_key_response_delete")
"""What answers requests that may have a condition, once their bodies are read."""


def _one_at_a_time(method: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    @functools.wraps(method)
    def guarded(*arguments: Any, **options: Any) -> Any:
        with lock:
            return method(*arguments, **options)

    return guarded


def main() -> None:
    """Serve as the arguments say, which are those of `moto_server`."""
    lock = threading.RLock()
    for name in _CONDITIONAL:
        setattr(S3Response, name, _one_at_a_time(getattr(S3Response, name), lock))
    server.main(sys.argv[1:])


if __name__ == "__main__":
    main()
