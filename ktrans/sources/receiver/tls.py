"""The certificate of a server, read again when its file has changed."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from ktrans.api import ConfigError, Context
from ktrans.kit import log_events

_CHECK_SECS = 60.0


class Tls:
    """The certificate of a server, read again when its file has changed.

    Raises:
        ConfigError: it cannot be read.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._files = (certificate, key)
        self._checked = time.monotonic()
        self._changed = _changed(self._files)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            _load(self.context, self._files)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificate {certificate} or its key {key} cannot be used: {error}",
                field="tls",
                code="bad_certificate",
                hint="`certificate_file` has the certificate and its chain, `key_file` the private "
                "key without a password, both as PEM",
            ) from error
        if client_ca is not None:
            self._ask_clients(client_ca)

    def _ask_clients(self, authority: Path) -> None:
        """Ask clients for a certificate of an authority."""
        try:
            self.context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates of authorities in {authority} cannot be used: {error}",
                field="tls",
                code="bad_certificate",
                hint="`client_ca_file` has certificates of authorities as PEM",
            ) from error
        self.context.verify_mode = ssl.CERT_REQUIRED

    def reload(self, context: Context) -> None:
        """Use the files as they are now for new connections, if they have changed."""
        if time.monotonic() < self._checked + _CHECK_SECS:
            return
        self._checked = time.monotonic()
        changed = _changed(self._files)
        if changed == self._changed:
            return
        try:
            # Where the new key does not fit, a context loses the old certificate, too: try another one.
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._files)
            _load(self.context, self._files)
        except (OSError, ssl.SSLError) as error:
            context.log.warning(
                "http: the new certificate cannot be used, the old one stays: %s",
                error,
                extra={"event": log_events.CERTIFICATE_NOT_LOADED},
            )
        self._changed = changed


def _load(context: ssl.SSLContext, files: tuple[Path, Path]) -> None:
    context.load_cert_chain(*files, password="")  # else OpenSSL asks on the terminal for one


def _changed(files: tuple[Path, Path]) -> list[int]:
    return [_mtime(path) for path in files]


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # it is being replaced
        return 0
