"""Which errors of the system say that there is no room left."""

from __future__ import annotations

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk or the quota is full, or a file may not grow any further."""
