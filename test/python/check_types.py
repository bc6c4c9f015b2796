# check_types.py - mypy over the Python package, as pyproject.toml sets it up.
# SPDX-License-Identifier: Apache-2.0
"""Usage: check_types.py ROOT"""
import os
import sys

try:
    from mypy import api
except ImportError:
    print("skipped: no mypy (test/requirements.txt)")
    sys.exit(77)

os.chdir(sys.argv[1])
out, errors, status = api.run(["--cache-dir", os.devnull])
print(out + errors)
sys.exit(status)
