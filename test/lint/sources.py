# sources.py - Which files the lint scripts look at.
# SPDX-License-Identifier: Apache-2.0
"""Helpers of the lint scripts. Each script takes the repository's root, prints
one line for each finding and exits with 1 if there was any."""
import argparse
import pathlib

FOLDERS = ("include", "lib", "dialects", "runtime", "tools", "test", "examples", "benchmarks",
           "docs", "scripts", "python", ".ci")
SKIPPED = {"__pycache__", "corpus"}


def root_argument(description, *extra):
    """The parsed command line, with the repository's root as `root`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", type=pathlib.Path)
    for name, options in extra:
        parser.add_argument(name, **options)
    arguments = parser.parse_args()
    arguments.root = arguments.root.resolve()
    if not (arguments.root / "lib").is_dir():
        parser.error(f"{arguments.root} is not the repository's root")
    return arguments


def files(root, *suffixes, folders=FOLDERS):
    """Paths below the folders, sorted; all files where no suffix is given. At the
    top itself, the files that are there."""
    found = []
    for folder in folders:
        found += [p for p in (root / folder).rglob("*") if p.is_file() and not p.is_symlink()]
    if folders is FOLDERS:
        found += [p for p in root.iterdir() if p.is_file()]
    return sorted(p for p in found if (not suffixes or p.suffix in suffixes)
                  and not SKIPPED & set(p.relative_to(root).parts))


def report(name, checked, findings):
    """Prints the findings and returns the exit code."""
    if not checked:
        findings = [f"no file was checked: is {name} looking in the right place?"]
    for finding in findings:
        print(finding)
    print(f"{name}: {checked} files, {len(findings)} findings")
    return 1 if findings else 0
