"""Options of the postgres state store, and what libpq is told of them."""

from __future__ import annotations

import pytest
from ktrans_postgres.config import PostgresStateConfig
from ktrans_postgres.connection import Place
from pydantic import ValidationError

from ktrans.config.load import load_pipeline
from ktrans.registry.catalogue import Catalogue


def told(**options):
    return Place(PostgresStateConfig(**options), "ktrans").parameters()


def test_a_url_may_say_anything_that_libpq_takes():
    found = told(url="postgresql://u:p%40ss@db:6432/state?sslmode=verify-full&keepalives_idle=5")
    assert found["password"] == "p@ss"
    assert (found["host"], found["port"], found["dbname"]) == ("db", "6432", "state")
    assert (found["sslmode"], found["keepalives_idle"]) == ("verify-full", "5")
    assert found["connect_timeout"] == 10


def test_a_password_may_be_an_option_and_what_is_missing_is_left_to_libpq():
    found = told(url="postgresql://u@db:6432/state", password="p@ss")
    assert (found["user"], found["password"], found["port"]) == ("u", "p@ss", "6432")
    assert not {"host", "dbname", "password"} & set(told())


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"url": "mysql://db/state"}, "begins with postgresql://"),
        ({"schema_name": "No Such"}, "schema_name"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"passwort": "x"}, "passwort"),
    ],
)
def test_what_does_not_fit_is_refused(options, what):
    with pytest.raises(ValidationError, match=what):
        PostgresStateConfig(**options)


def test_the_place_is_named_without_secrets():
    config = PostgresStateConfig(url="postgresql://u@a,b/state", password="p@ss")
    assert Place(config, config.schema_name).where == "postgresql://a,b/state (schema ktrans)"
    assert "p@ss" not in repr(config)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://ktrans@db.example/flows?sslmode=verify-full", False),
        ("postgresql:///flows", False),
        ("postgresql://ktrans:hush-hush@db.example/flows", True),
        ("postgresql://db.example/flows?password=hush-hush", True),
    ],
)
def test_the_address_of_a_database_is_a_secret_if_it_has_one(tmp_path, url, warned):
    path = tmp_path / "p.yaml"
    path.write_text(
        f"""\
source: {{type: file, paths: [logs/]}}
sinks:
  - {{type: postgres, url: "{url}"}}
"""
    )
    found = [w.code for w in load_pipeline(path, Catalogue()).warnings]
    assert found == ["secret_in_file"] * warned
