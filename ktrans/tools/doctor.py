"""Checks of the machine and of pipelines: finds what would make a run fail or work badly."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ktrans.api import ConfigErrors, KtransError
from ktrans.api.state import StateStore
from ktrans.config.model import Pipeline
from ktrans.engine.cores import usable_cores
from ktrans.registry.catalogue import Catalogue
from ktrans.state.store import view_store

Verdict = Literal["ok", "warning", "failed"]

FEW_FILES = 1024
LITTLE_DISK = 1 << 30
LITTLE_MEMORY = 512 << 20
BUILT = 1_780_000_000
"""June 2026: a clock that shows an earlier time is wrong."""

CREDENTIALS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "AWS": (
        ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("~/.aws/credentials", "~/.aws/config"),
    ),
    "Google Cloud": (
        ("GOOGLE_APPLICATION_CREDENTIALS",),
        ("~/.config/gcloud/application_default_credentials.json",),
    ),
    "Azure": (("AZURE_CLIENT_ID", "AZURE_STORAGE_CONNECTION_STRING"), ("~/.azure",)),
}
"""Where the SDKs look for credentials first: variables and files. Values are never read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check."""

    verdict: Verdict
    subject: str
    message: str
    hint: str = ""


def check_machine(catalogue: Catalogue) -> Iterator[Finding]:
    """Check the machine, the installation and the plugins."""
    import pyarrow as pa

    yield Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}")
    pool = pa.default_memory_pool().backend_name
    yield Finding("ok", "pyarrow", f"{pa.__version__}, allocator {pool}")
    yield Finding("ok", "cores", f"{usable_cores()} of {os.cpu_count()} may be used")
    yield _clock(time.time())
    yield _open_files()
    yield from _memory()
    yield from _temporary()
    native = catalogue.accelerator()
    yield Finding("ok", "accelerator", "none, Python does all" if native is None else native.name)
    for plugin in catalogue.plugins():
        if plugin.state == "ok" and not plugin.conflicts:
            continue
        verdict: Verdict = "warning" if plugin.status in {"disabled", "ok"} else "failed"
        problem = plugin.error or f"claims components of others: {', '.join(plugin.conflicts)}"
        message = problem if plugin.status == "ok" else f"{plugin.status}: {problem}"
        yield Finding(verdict, f"plugin {plugin.origin}", message)
    for cloud, (variables, files) in CREDENTIALS.items():
        found = [name for name in variables if os.environ.get(name)]
        found += [name for name in files if os.path.exists(os.path.expanduser(name))]  # noqa: PTH110, PTH111 - without a home pathlib's raises
        if found:
            yield Finding("ok", f"credentials for {cloud}", ", ".join(found))


def check_pipelines(
    config: str, catalogue: Catalogue, profile: str | None = None
) -> Iterator[Finding]:
    """Check the pipelines of a file or folder, and what they connect to."""
    from ktrans.config.draft import LoadOptions
    from ktrans.config.load import flatten_errors, load_all
    from ktrans.engine.examine import examine

    loaded = load_all([config], catalogue, LoadOptions(profile=profile, examine=examine))
    for path, error in loaded.wrong:
        for one in flatten_errors(error):
            yield _failed(str(path), one)
    for file in loaded.files:
        subject = str(file.pipeline.path)
        if not file.pipeline.alone:
            subject += f" ({file.pipeline.name})"
        yield from _check(subject, file.pipeline, catalogue)


def _check(subject: str, pipeline: Pipeline, catalogue: Catalogue) -> Iterator[Finding]:
    from ktrans.engine.assemble import assemble

    try:
        assembly = assemble(pipeline, catalogue)
    except ConfigErrors as errors:
        for error in errors.errors:
            yield _failed(subject, error)
        return
    except KtransError as error:
        yield _failed(subject, error)
        return
    yield Finding("ok", subject, f"pipeline {pipeline.name} is valid")
    for warning in pipeline.warnings:
        place = f"{warning.where}: " if warning.where else ""
        yield Finding("warning", subject, f"{place}{warning.message}", warning.hint or "")
    try:
        for name, component in assembly.components():
            yield _connect(f"{subject}: {name}", component.check)
        yield from _state(subject, assembly.state, pipeline.name)
    finally:
        assembly.close()


def _failed(subject: str, error: KtransError) -> Finding:
    place = f"{error.where}: " if error.where else ""
    return Finding("failed", subject, f"{place}{error.message}", error.hint or "")


def _connect(subject: str, check: Callable[[], None]) -> Finding:
    began = time.monotonic()
    try:
        check()
    except KtransError as error:
        return _failed(subject, error)
    return Finding("ok", subject, f"reachable, in {time.monotonic() - began:.2f} s")


def _state(config: str, state: StateStore[Any], name: str) -> Iterator[Finding]:
    subject = f"{config}: state"
    folder = state.folder
    while folder is not None and not folder.exists():
        folder = folder.parent
    if folder is not None and (free := shutil.disk_usage(folder).free) < LITTLE_DISK:
        yield Finding("warning", subject, f"only {free >> 20} MB are free in {folder}")
    try:
        with view_store(state, name) as store:
            known, epoch = name in store.pipelines(), store.unfinished(name)
    except KtransError as error:
        yield _failed(subject, error)
        return
    if epoch is not None:
        text = f"epoch {epoch.number} is unfinished: a run is active, has failed or was killed"
        yield Finding("warning", subject, text, "the next run finishes it")
        return
    text = state.where if known else f"{state.where}: no state yet"
    yield Finding("ok", subject, text)


def _clock(now: float) -> Finding:
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now < BUILT:
        hint = "set the clock: names of daily folders and signatures of requests depend on it"
        return Finding("failed", "clock", f"{text} cannot be right", hint)
    return Finding("ok", "clock", text)


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a run raises the soft limit to it
    if hard < FEW_FILES:
        hint = "`ulimit -Hn 4096` as root: each task of a sink of files opens dozens of them"
        return Finding("warning", "open files", f"at most {hard}", hint)
    return Finding("ok", "open files", f"at most {hard}")


def _memory() -> Iterator[Finding]:
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 1 << 50:
            limit = int(text)
            low = limit < LITTLE_MEMORY
            hint = "lower limits.block_size and engine.workers, or raise the limit" if low else ""
            text = f"the container may use {limit >> 20} MB"
            yield Finding("warning" if low else "ok", "memory", text, hint)
        return


def _temporary() -> Iterator[Finding]:
    import tempfile

    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        yield Finding("failed", "temporary files", str(error), "set TMPDIR to a writable folder")
        return
    yield Finding("ok", "temporary files", folder)
