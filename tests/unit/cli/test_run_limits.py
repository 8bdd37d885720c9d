"""A run may open as many files as the user may, whatever the shell allows at first."""

import json
import subprocess
import sys

CODE = """
import json, resource
from ktrans.cli.run_limits import allow_open_files
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard))
allow_open_files()
print(json.dumps([hard, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


def test_the_limit_of_open_files_is_raised():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True)
    before, soft, hard = json.loads(done.stdout)
    assert soft == hard == before
