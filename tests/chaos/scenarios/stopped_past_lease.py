"""SIGSTOP for longer than the lease lasts, while another run takes over.

The state is in a bucket, or a SQLite file whose lock the kernel keeps. Allowed: with a bucket the run that
is continued exits 75 (fenced, or locked), or 0 if it had nothing left to do; with a file the other run
exits 75 (locked). The rows may not differ.
"""

import os
import signal
import time
import uuid

from tests.chaos.world import Chaos, Skipped, World, expect, kill, same
from tests.services._launch import MissingServerError
from tests.services.moto import S3Server

LEASE_SECS = 2


def run(chaos: Chaos) -> None:
    """Suspend runs again and again while others go on."""
    chaos.logs(chaos.many(12, 40))
    world, clean = chaos.world(), chaos.world("clean")
    clean.undisturbed()
    if chaos.chance.random() < 0.5:
        suspend(chaos, world, clean.whole, bucket=False)
        clean.undisturbed()
        same(world, clean)
        return
    try:
        server = S3Server()
    except MissingServerError as error:
        raise Skipped(str(error)) from None
    try:
        name = f"state-{uuid.uuid4().hex[:12]}"
        server.client("s3").create_bucket(Bucket=name)
        world.tree["state"] = {
            "type": "s3",
            "bucket": name,
            "endpoint_url": server.url,
            "region": server.region,
            "access_key_id": "test",
            "secret_access_key": "test",
            "path_style": True,
            "lease_time": LEASE_SECS,
        }
        suspend(chaos, world, clean.whole, bucket=True)
        until_done(world)
        clean.undisturbed()
        same(world, clean, ledger=False)
    finally:
        server.close()


def suspend(chaos: Chaos, world: World, whole: float, *, bucket: bool) -> None:
    """Stop a run in its midst, run another, and let the first go on."""
    for _ in range(chaos.many(1, 10)):
        sleeper = world.begin()
        try:
            time.sleep(chaos.chance.uniform(0.2, 1.0) * whole)
            os.killpg(sleeper.pid, signal.SIGSTOP)
            time.sleep(LEASE_SECS * 1.5 if bucket else 0)
            code = world.once()
            expect(code in {0, 75}, f"the other run exits {code}: {world.said}")
            os.killpg(sleeper.pid, signal.SIGCONT)
            code = world.finish(sleeper)
        except ProcessLookupError:
            code = world.finish(sleeper)
        finally:
            kill(sleeper)
        expect(code in ({0, 75} if bucket else {0}), f"continued, exits {code}: {world.output()}")
        chaos.logs(3)
    if not bucket:
        world.undisturbed()


def until_done(world: World) -> None:
    """Run until the lease of whoever was killed has run out."""
    end = time.monotonic() + 120
    while (code := world.once()) != 0:
        expect(code == 75 and time.monotonic() < end, f"exit {code}: {world.said}")
        time.sleep(LEASE_SECS)
