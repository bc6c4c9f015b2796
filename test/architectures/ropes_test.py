#!/usr/bin/env python3
# ropes_test.py - Rope scaling against transformers.
# SPDX-License-Identifier: Apache-2.0
#
#   ropes_test.py --qcc build/bin/qcc [unittest arguments]
"""Frequencies of imported models against those of transformers (make_references.py),
for each kind of rope scaling and what can be said of it."""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = argparse.Namespace()


class Ropes(unittest.TestCase):
    def imported(self, parameters, context):
        """Frequencies and factors of all layers."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "yarn"
            shutil.copytree(HERE / "yarn", folder)
            config = json.loads((folder / "config.json").read_text())
            config["rope_parameters"] = parameters
            (folder / "config.json").write_text(json.dumps(config))
            result = subprocess.run([OPTIONS.qcc, folder, "--emit=import", "-o", "-",
                                     "--context", str(context)],
                                    capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for attributes in re.findall(r"llm\.rope .*?\{(.*?)\}", result.stdout):
            factor = re.search(r"factor = (\S+) : f32", attributes)
            frequencies = re.search(r"frequencies = array<f32: (.*?)>", attributes).group(1)
            yield ([float(f) for f in frequencies.split(", ")],
                   float(factor.group(1)) if factor else 1.0)

    def test_all(self):
        for expected in json.loads((HERE / "ropes.json").read_text()):
            with self.subTest(**expected["rope_parameters"]):
                ropes = list(self.imported(expected["rope_parameters"], expected["length"]))
                self.assertEqual(len(ropes), 4)
                for frequencies, factor in ropes:
                    self.assertEqual(len(frequencies), len(expected["frequencies"]))
                    # transformers computes in f32.
                    for got, wanted in zip(frequencies, expected["frequencies"]):
                        self.assertLess(abs(got - wanted), 2e-6 * wanted)
                    self.assertLess(abs(factor - expected["factor"]), 1e-6 * factor)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--qcc", required=True)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest])
