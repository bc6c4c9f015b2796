# bundle_compiler.py - Puts the built compiler into the wheel.
# SPDX-License-Identifier: Apache-2.0
"""A build hook of hatchling. The program qcc and the archives that it links into
models go to qcc/compiler/bin and qcc/compiler/lib/qcc, as it expects to find them.
They come from $QCC_BUILD, or from the folder build beside pyproject.toml, where they
are built first if they are not there. On a machine without what that needs the wheel
is Python only, and finds qcc elsewhere (docs/Python.md)."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleCompiler(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":
            return  # the checkout's build folder is used in place
        build = pathlib.Path(os.environ.get("QCC_BUILD") or "build")
        build = pathlib.Path(self.root) / build
        program, support = build / "bin" / "qcc", build / "lib" / "qcc"
        if not program.is_file():
            if os.environ.get("QCC_BUILD"):
                raise FileNotFoundError(f"QCC_BUILD={build}: expected bin/qcc, found none")
            if not self.built():
                self.app.display_warning("scripts/install-deps names what is missing to build "
                                         "qcc: the package will have no compiler")
                return
        self.folder = tempfile.TemporaryDirectory()
        stripped = pathlib.Path(self.folder.name) / "qcc"
        shutil.copy2(program, stripped)
        if shutil.which("strip"):
            subprocess.run(["strip", str(stripped)], check=True)
        files = build_data["force_include"]
        files[str(stripped)] = "qcc/compiler/bin/qcc"
        for path in sorted(support.iterdir()):
            files[str(path)] = f"qcc/compiler/lib/qcc/{path.name}"
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + platform_tag()

    def built(self):
        """Builds the compiler, if all that it needs is installed."""
        scripts = pathlib.Path(self.root) / "scripts"
        try:
            subprocess.run([scripts / "install-deps", "--check"], check=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run([scripts / "build"], check=True)
        return True

    def finalize(self, version, build_data, artifact_path):
        if hasattr(self, "folder"):
            self.folder.cleanup()


def platform_tag():
    """Of this machine: the program needs its C library or a newer one."""
    return f"{sys.platform}_{os.uname().machine}"
