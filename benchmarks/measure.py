# measure.py - Runs one engine once and returns its rate.
# SPDX-License-Identifier: Apache-2.0

import json
import subprocess


class Failure(Exception):
    """Ends the program with one line."""


def run(command):
    """Standard output of a command that must succeed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Failure(f"'{' '.join(map(str, command))}' ended with {done.returncode}: "
                      f"{lines[-1] if lines else 'no message'}")
    return done.stdout


def tokens_of(kind, tokens, depth):
    """Options that qcc and llama-bench share."""
    return ["-p", str(tokens) if kind == "prefill" else "0",
            "-n", str(tokens) if kind == "decode" else "0",
            *(["-d", str(depth)] if depth else [])]


class Ours:
    """A model that qcc compiled to an executable."""
    name = "qcc"

    def __init__(self, executable):
        self.executable = executable
        self.bytes_per_token = None

    def rate(self, _model, kind, tokens, depth, threads):
        """Tokens a second of one run after a warm-up."""
        result = json.loads(run([str(self.executable.absolute()), "bench",
                                 *tokens_of(kind, tokens, depth),
                                 "-r", "1", "--threads", str(threads), "--json"]))
        self.bytes_per_token = result["weight_bytes_per_token"] + \
            depth * result["kv_bytes_per_token"]
        return result[f"{kind}_tokens_per_second"]


class Peer:
    """llama-bench, or a program with the same options and output."""

    def __init__(self, name, path, options):
        self.name, self.path, self.options = name, str(path), options

    def results(self, model, kind, tokens, depth, threads):
        text = run([self.path, "-m", model, *tokens_of(kind, tokens, depth), "-r", "1", "-t",
                    str(threads), "-o", "json", *self.options])
        try:
            # Some builds print other lines before the list.
            return json.loads(text[text.index("["):])[0]
        except (ValueError, IndexError) as error:
            raise Failure(f"{self.path}: no results in its output") from error

    def rate(self, model, kind, tokens, depth, threads):
        return self.results(model, kind, tokens, depth, threads)["avg_ts"]

    def version(self, model):
        """What the program says about itself."""
        result = self.results(model, "decode", 1, 0, 1)
        return {key: result.get(key) for key in ("build_commit", "build_number", "cpu_info")}
