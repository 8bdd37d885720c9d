"""Authentication with Google Cloud: options, and the credentials that they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from ktrans.api import ComponentConfig, ConfigError, Context

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleConfig(ComponentConfig):
    """Options of everything that uses Google Cloud.

    Without any of them the application default credentials are used: those that
    GOOGLE_APPLICATION_CREDENTIALS names, those of `gcloud auth application-default login`, or the
    service account of the machine.
    """

    credentials_file: str | None = Field(
        None,
        min_length=1,
        description="A key file of a service account, or a file of workload identity federation. "
        "By default the application default credentials are used.",
        examples=["/run/secrets/gcp.json"],
    )
    impersonate: str | None = Field(
        None,
        min_length=3,
        description="A service account to act as; the credentials need the role Service Account "
        "Token Creator on it.",
        examples=["ktrans@my-project.iam.gserviceaccount.com"],
    )
    anonymous: bool = Field(
        False,
        description="Use no credentials: public buckets, emulators.",
        examples=[True],
    )
    endpoint: str | None = Field(
        None,
        min_length=1,
        description="Address of the service, if it is not the usual one: a private or regional "
        "endpoint, or an emulator (http://host:port, which implies `anonymous`).",
        examples=["https://storage.europe-west3.rep.googleapis.com", "http://localhost:8085"],
    )

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if self.anonymous and (self.credentials_file or self.impersonate):
            raise ValueError("anonymous excludes credentials_file and impersonate")
        return self


def credentials(config: GoogleConfig, context: Context) -> Any:
    """Return google-auth credentials; may read files and ask the metadata server.

    Raises:
        ConfigError: the file is missing or has no credentials.
        google.auth.exceptions.GoogleAuthError: there are none.
    """
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    if config.anonymous or (config.endpoint or "").startswith("http://"):
        return AnonymousCredentials()
    if config.credentials_file:
        found = _from_file(context.path(config.credentials_file))
    else:
        found, _ = google.auth.default(scopes=[SCOPE])
    if config.impersonate:
        from google.auth import impersonated_credentials

        found = impersonated_credentials.Credentials(
            source_credentials=found, target_principal=config.impersonate, target_scopes=[SCOPE]
        )
    return found


def store_options(config: GoogleConfig, context: Context) -> dict[str, str]:
    """Return how to reach Cloud Storage with other libraries: the options of object_store, and a token.

    object_store finds the application default credentials by itself and takes no token; `google_token`
    is for others.

    Raises:
        ConfigError: the file is missing or has no credentials.
        google.auth.exceptions.GoogleAuthError: there are none.
    """
    import google.auth.transport.requests

    if config.anonymous or (config.endpoint or "").startswith("http://"):
        options = {"google_skip_signature": "true"}
        return {**options, "google_base_url": config.endpoint} if config.endpoint else options
    found = credentials(config, context)
    found.refresh(google.auth.transport.requests.Request())
    options = {"google_token": found.token}
    if config.credentials_file:
        options["google_application_credentials"] = str(context.path(config.credentials_file))
    return options


def _from_file(path: Path) -> Any:
    """Read a credentials file, by its `type`."""
    from google.auth.exceptions import GoogleAuthError

    try:
        info = json.loads(path.read_bytes())
        match info.get("type"):
            case "service_account":
                from google.oauth2 import service_account

                return service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
            case "authorized_user":
                from google.oauth2.credentials import Credentials

                return Credentials.from_authorized_user_info(info, scopes=[SCOPE])
            case "external_account":
                from google.auth import identity_pool

                return identity_pool.Credentials.from_info(info, scopes=[SCOPE])
            case _:
                problem = "its type is not service_account, authorized_user or external_account"
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    except (ValueError, TypeError, AttributeError, GoogleAuthError) as error:
        # Without the library's message, which may quote the file.
        problem = f"its content is not valid ({type(error).__name__})"
    raise ConfigError(
        f"{path} is not a usable file of Google credentials: {problem}",
        field="credentials_file",
        code="credentials_file",
        hint="give the JSON key file of a service account, readable by this user",
    )
