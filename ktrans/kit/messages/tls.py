"""TLS of connections to brokers, by files of PEM texts."""

from __future__ import annotations

import ssl
from typing import Self

from pydantic import Field, model_validator

from ktrans.api import ComponentConfig, ConfigError, Context


class TlsFilesConfig(ComponentConfig):
    """Options with the files of a secure connection."""

    tls_ca_file: str | None = Field(
        None,
        description="CA certificates to verify the server with (PEM); by default those of the system.",
        examples=["/etc/ktrans/ca.pem"],
    )
    tls_certificate_file: str | None = Field(
        None,
        description="Client certificate (PEM), for servers that require one.",
        examples=["/etc/ktrans/client.pem"],
    )
    tls_key_file: str | None = Field(
        None,
        description="Private key of the client certificate (PEM).",
        examples=["/etc/ktrans/client.key"],
    )

    @model_validator(mode="after")
    def _certificate_has_key(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file go together")
        return self


def tls_context(config: TlsFilesConfig, context: Context, code: str) -> ssl.SSLContext:
    """Return what verifies the server, and shows the client's certificate if there is one.

    Args:
        config: the files.
        context: the sink's; relative paths begin at its folder.
        code: of the error.

    Raises:
        ConfigError: a file cannot be read, or is no PEM text.
    """
    ca_file, certificate, key = (
        str(context.path(name)) if name else None
        for name in (config.tls_ca_file, config.tls_certificate_file, config.tls_key_file)
    )
    try:
        made = ssl.create_default_context(cafile=ca_file)
        if certificate is not None:
            made.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the TLS files cannot be used: {error}", field="tls_ca_file", code=code
        ) from error
    return made
