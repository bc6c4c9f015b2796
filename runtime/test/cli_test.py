#!/usr/bin/env python3
# cli_test.py - The command line of a compiled model
# SPDX-License-Identifier: Apache-2.0
#
# Usage: cli_test.py PROGRAM. PROGRAM is the demo model as an executable. What
# its logits must be follows from the model's definition, which is written here
# a second time; perplexity and KL divergence are computed from these.

import json
import math
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = None
VOCAB, HIDDEN, LAYERS = 300, 16, 2


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def weight(row, column, seed=1):
    i = row * HIDDEN + column + seed
    return (((i * i * 31 + i * 17) >> 3 & 255) - 127.5) / 128


def evaluate(tokens, prompt):
    """Logits after each token, in single precision as the model adds them."""
    past = [[] for _ in range(LAYERS)]
    result = []
    for token in tokens:
        x = [weight(token, h) for h in range(HIDDEN)]
        if prompt:
            x = [int(v * 8 + (-0.5 if v < 0 else 0.5)) / 8 for v in x]
        for layer in range(LAYERS):
            past[layer].append(x)
            total = [0.0] * HIDDEN
            for row in past[layer]:
                total = [f32(f32(total[h] * 0.75) + row[(h + 1) % HIDDEN])
                         for h in range(HIDDEN)]
            x = [f32(f32(x[h] * 0.5) + f32(total[h] * 0.5))
                 for h in range(HIDDEN)]
        logits = []
        for v in range(VOCAB):
            s = 0.0
            for h in range(HIDDEN):
                s = f32(s + f32(x[h] * weight(VOCAB + v, h)))
            logits.append(s)
        result.append(logits)
    return result


def log_softmax(logits):
    top = max(logits)
    norm = top + math.log(sum(math.exp(v - top) for v in logits))
    return [v - norm for v in logits]


def run(*args, stdin=b"", env=None):
    return subprocess.run([PROGRAM, *args], input=stdin, capture_output=True,
                          timeout=60, env=env)


def read_npy(path):
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    size = struct.unpack("<H", data[8:10])[0]
    assert (10 + size) % 64 == 0
    header = eval(data[10:10 + size])
    assert header["descr"] == "<f4" and header["fortran_order"] is False
    rows, columns = header["shape"]
    values = struct.unpack("<%df" % (rows * columns), data[10 + size:])
    return [list(values[i * columns:(i + 1) * columns]) for i in range(rows)]


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def assert_error(self, result, code, text):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, b"")
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("error: "), lines)
        self.assertIn(text, lines[0])
        self.assertFalse(lines[0].endswith("."), lines)

    # Usage

    def test_usage_errors(self):
        for args, text in [
            (["--tmp", "3", "x"], "unknown option `--tmp`; did you mean `--temp`?"),
            (["--bogus-thing", "x"], "unknown option `--bogus-thing`"),
            (["bench", "--repat", "3"], "did you mean `--repeat`?"),
            (["a", "b"], "unexpected argument `b`; put a prompt of several words in quotes"),
            (["--top-k", "many", "x"], "--top-k"),
            (["--temp", "nan", "x"], "temperature is nan"),
            (["--threads", "0", "x"], "--threads"),
            (["--threads", "-3", "x"], "--threads"),
            (["logits", "-o", "x.npy"], "logits needs --ids or --prompt"),
            (["logits", "--ids", "1"], "--output"),
            (["logits", "--ids", "1,,2", "-o", "x.npy"], "--ids: expected numbers"),
            (["perplexity"], "perplexity needs a text file"),
            (["tokenize"], "text is required"),
            (["bench", "-p", "0", "-n", "0"], "bench needs"),
            (["bench", "-n", "1", "--lookup", "3"], "bench --lookup needs"),
            (["bench", "--depth", "1", "--lookup", "3"], "bench --lookup takes no --depth"),
            (["bench", "--depth", "10000000"], "do not fit into the context"),
            (["--raw", "--system", "be kind", "x"], "--system needs the chat template"),
            (["--raw", "--chat-variables", "{}", "x"],
             "--chat-variables needs the chat template"),
            (["--chat-variables", "[1]", "x"],
             "error: --chat-variables: expected a JSON object, got list"),
            (["--chat-variables", "{\"a\": }", "x"], "error: --chat-variables: "),
        ]:
            with self.subTest(args=args):
                code = 1 if "nan" in args or "error: --chat" in text else 2
                self.assert_error(run(*args), code, text)

    def test_errors(self):
        self.assert_error(run("logits", "--ids", "1,300", "-o", self.path("x")), 1,
                          "token 300, expected 0 to 299")
        self.assert_error(run("logits", "--ids", "1", "-o", self.path("no/x")), 1,
                          "cannot write: No such file")
        self.assert_error(run("perplexity", self.path("none")), 1, "No such file")
        self.assert_error(run("--ctx", "1000", "x"), 1,
                          "context is 1000, expected at most the model's 512")
        self.assert_error(run("--ctx", "5", "many more bytes than that"), 1,
                          "do not fit into a context of 5")
        env = dict(os.environ, QCC_TARGET="future")
        self.assert_error(run("info", env=env), 1, "this CPU lacks")

    def test_help_and_version(self):
        for args in [["--help"], ["chat", "--help"], ["logits", "-h"]]:
            result = run(*args)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stderr, b"")
            self.assertIn(b"Usage", result.stdout)
        result = run("--help")
        for word in [b"chat", b"perplexity", b"--min-p", b"--stop", b"--raw"]:
            self.assertIn(word, result.stdout)
        result = run("--version")
        self.assertEqual(result.stdout, b"by hand (demo 1)\n")

    # Commands

    def test_info(self):
        self.assertIn("target          x86-64", run("info").stdout.decode())
        self.assertIn("\ncheckpoint      a formula\ntypes           bytes       2 tensors\n",
                      run("info").stdout.decode())
        info = json.loads(run("info", "--json").stdout)
        self.assertEqual(info["vocab"], VOCAB)
        self.assertEqual(info["compilation"], {"seed": 1})
        self.assertTrue(info["chat_template"].startswith("{% for"))

    def test_tokenize(self):
        result = run("tokenize", "--json", "hello \"\u00e9\n<|im_end|>")
        tokens = json.loads(result.stdout)
        self.assertEqual(tokens["ids"][0], 259)
        self.assertEqual(tokens["ids"][-1], 261)
        self.assertEqual(tokens["pieces"][0], "hello")
        self.assertEqual(len(tokens["ids"]), len(tokens["pieces"]))
        plain = json.loads(run("tokenize", "--json", "--no-special", "<|im_end|>").stdout)
        self.assertEqual(len(plain["ids"]), len("<|im_end|>"))
        dash = json.loads(run("tokenize", "--json", "--no-special", "--", "-ngl").stdout)
        self.assertEqual("".join(dash["pieces"]), "-ngl")
        lines = run("tokenize", "hello!").stdout.decode().splitlines()
        self.assertEqual(lines[0].split(), ["259", '"hello"'])

    def test_logits(self):
        tokens = [(i * 37 + i * i) % 256 for i in range(70)]
        ids = ",".join(map(str, tokens))
        out = self.path("out.npy")
        for batch, prompt in [([], True), (["--batch", "1"], False),
                              (["--batch", "7"], True)]:
            result = run("logits", "--ids", ids, *batch, "--threads", "3", "-o", out)
            self.assertEqual((result.returncode, result.stdout, result.stderr),
                             (0, b"", b""))
            self.assertEqual(read_npy(out), evaluate(tokens, prompt))
        self.assertEqual(os.listdir(self.folder.name), ["out.npy"])
        result = run("logits", "--prompt", "hello", "-o", "-")
        self.assertEqual(len(result.stdout), 128 + 4 * VOCAB)

    def test_matmul_inputs(self):
        tokens = [(i * 37 + i * i) % 256 for i in range(70)]
        ids = ",".join(map(str, tokens))
        out, folder = self.path("out.npy"), self.path("inputs")
        for batch, prompt in [([], True), (["--batch", "1"], False), (["--batch", "7"], True)]:
            result = run("logits", "--ids", ids, *batch, "-o", out, "--matmul-inputs",
                         folder + "/")
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))
            expected = evaluate(tokens, prompt)
            self.assertEqual(read_npy(out), expected)
            self.assertEqual(os.listdir(folder), ["demo.head.npy"])
            inputs = read_npy(os.path.join(folder, "demo.head.npy"))
            self.assertEqual(len(inputs), len(tokens))
            for x, logits in zip(inputs, expected):
                got = 0.0
                for h in range(HIDDEN):
                    got = f32(got + f32(x[h] * weight(VOCAB + 5, h)))
                self.assertEqual(got, logits[5])
            # It is not written over, and nothing else is left.
            self.assert_error(run("logits", "--ids", "1", "-o", out, "--matmul-inputs", folder),
                              1, "exists already")
            self.assertEqual(sorted(os.listdir(self.folder.name)), ["inputs", "out.npy"])
            shutil.rmtree(folder)
        # A folder that cannot be made.
        missing = self.path("no/inputs")
        self.assert_error(run("logits", "--ids", "1", "-o", out, "--matmul-inputs", missing), 1,
                          "cannot make this folder")
        # More tokens than the context holds: unfinished files are removed.
        self.assert_error(run("logits", "--ids", ids, "--ctx", "64", "-o", out,
                              "--matmul-inputs", folder), 1, "its context is 64")
        self.assertEqual(os.listdir(self.folder.name), ["out.npy"])

    def test_raw_prompt_is_greedy_decoding(self):
        result = run("--raw", "--greedy", "-n", "8", "--batch", "1", "--special", "hello")
        tokens, text = [259], b""
        for _ in range(8):
            logits = evaluate(tokens, False)[-1]
            best = logits.index(max(logits))
            if best == 261:
                break
            tokens.append(best)
        ids = json.loads(run("tokenize", "--json", "hello").stdout)["ids"]
        self.assertEqual(ids, [259])
        pieces = {i: bytes([i]) for i in range(256)}
        # The demo's byte tokens are in byte order.
        for token in tokens[1:]:
            text += pieces.get(token, b"?")
        self.assertEqual(result.returncode, 0, result.stderr)
        decoded = text.decode("utf-8", "replace")
        self.assertEqual(result.stdout.decode().rstrip("\n"), decoded.rstrip("\n"))

    def test_prompt_from_stdin_and_seeds(self):
        args = ["--raw", "-n", "12", "--seed", "7"]
        first = run(*args, "hello")
        self.assertEqual(first.stdout, run(*args, "--threads", "5", "hello").stdout)
        self.assertEqual(first.stdout, run(*args, "-", stdin=b"hello").stdout)
        self.assertEqual(first.stdout, run(*args, stdin=b"hello").stdout)
        outputs = {run("--raw", "-n", "12", "--seed", str(s), "hello").stdout
                   for s in range(5)}
        self.assertGreater(len(outputs), 1)

    def test_lookup_does_not_change_the_answer(self):
        args = ["--raw", "-n", "40", "--seed", "7", "--presence-penalty", "-100", "over and over"]
        plain = run(*args)
        for option in ("--lookup", "--draft-max"):
            lookup = run(option, "15", "-v", *args)
            self.assertEqual(plain.stdout, lookup.stdout)
            self.assertRegex(lookup.stderr, rb"lookup: [1-9]\d* tokens drafted, \d+ accepted")

    def test_names_of_options_as_values(self):
        def prompt(*option):
            result = run("-v", "-n", "1", "--greedy", *option, "hello", "-ngl", "0")
            return re.search(rb"prompt: (\d+) tokens", result.stderr).group(1)
        self.assertEqual(prompt("--system", "-ngl"), prompt("--system=-ngl"))
        self.assertNotEqual(prompt("--system", "-ngl"), prompt("--system=--gpu-layers"))

    def test_verbose_goes_to_stderr(self):
        quiet = run("--raw", "-n", "5", "--greedy", "hello")
        loud = run("--raw", "-n", "5", "--greedy", "-v", "hello")
        self.assertEqual(quiet.stderr, b"")
        self.assertEqual(quiet.stdout, loud.stdout)
        self.assertIn(b"tokens/s", loud.stderr)
        self.assertIn(b"sampling: greedy", loud.stderr)

    def test_perplexity(self):
        text = bytes(32 + (i * 7 + i * i) % 90 for i in range(140))
        path = self.path("text")
        with open(path, "wb") as f:
            f.write(text)
        tokens = json.loads(run("tokenize", "--json", "--no-special",
                                text.decode()).stdout)["ids"]
        nll = []
        for chunk in range(2):
            ids = tokens[chunk * 64:(chunk + 1) * 64]
            logits = evaluate(ids, True)
            for i in range(32, 63):
                nll.append(-log_softmax(logits[i])[ids[i + 1]])
        mean = sum(nll) / len(nll)
        result = run("perplexity", path, "--ctx", "64", "--json")
        report = json.loads(result.stdout)
        self.assertEqual(report["chunks"], 2)
        self.assertEqual(report["tokens"], len(nll))
        self.assertAlmostEqual(report["nll"], mean, places=6)
        self.assertAlmostEqual(report["perplexity"], math.exp(mean), places=4)
        variance = sum(v * v for v in nll) / len(nll) - mean * mean
        self.assertAlmostEqual(
            report["perplexity_error"],
            math.exp(mean) * math.sqrt(variance / (len(nll) - 1)), places=4)
        one = json.loads(run("perplexity", path, "--ctx", "64", "--chunks", "1",
                             "--json").stdout)
        self.assertEqual(one["tokens"], 31)
        self.assertIn(b"perplexity", run("perplexity", path, "--ctx", "64").stdout)
        self.assert_error(run("perplexity", path), 1, "expected at least one chunk of 512")

    def test_kl_divergence(self):
        text = bytes(32 + (i * 7 + i * i) % 90 for i in range(70))
        path, base = self.path("text"), self.path("base")
        with open(path, "wb") as f:
            f.write(text)
        # The base is the decode path, compared with the prompt path.
        result = run("perplexity", path, "--ctx", "32", "--batch", "1",
                     "--save-base", base, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(base, "rb") as f:
            data = f.read()
        self.assertEqual(data[:8], b"_logits_")
        ctx, vocab, chunks = struct.unpack("<Iii", data[8:20])
        self.assertEqual((ctx, vocab, chunks), (32, VOCAB, 2))
        tokens = struct.unpack("<64i", data[20:20 + 256])
        row_bytes = 8 + 2 * VOCAB
        self.assertEqual(len(data), 276 + 2 * 15 * row_bytes)
        divergences, same = [], 0
        for chunk in range(2):
            ids = list(tokens[chunk * 32:(chunk + 1) * 32])
            exact, coarse = evaluate(ids, False), evaluate(ids, True)
            for i in range(16, 31):
                row = data[276 + (chunk * 15 + i - 16) * row_bytes:][:row_bytes]
                scale, lowest = struct.unpack("<2f", row[:8])
                saved = [lowest + scale * c
                         for c in struct.unpack("<%dH" % VOCAB, row[8:])]
                p = log_softmax(exact[i])
                for a, b in zip(saved, p):
                    self.assertLess(abs(a - b), 2e-4)
                q = log_softmax(coarse[i])
                divergences.append(sum(math.exp(a) * (a - b)
                                       for a, b in zip(p, q)))
                same += p.index(max(p)) == q.index(max(q))
        # By default so few positions at a time are not coarse.
        report = json.loads(run("perplexity", "--kl-base", base, "--batch", "32",
                                "--json").stdout)
        mean = sum(divergences) / len(divergences)
        self.assertGreater(mean, 1e-4)
        self.assertAlmostEqual(report["kl"], mean, delta=2e-5)
        self.assertAlmostEqual(report["kl_max"], max(divergences), delta=1e-4)
        self.assertAlmostEqual(report["same_top"], same / 30, places=6)
        again = json.loads(run("perplexity", "--kl-base", base, "--batch", "1",
                               "--json").stdout)
        self.assertLess(abs(again["kl"]), 1e-6)
        with open(base, "wb") as f:
            f.write(data[:-1])
        self.assert_error(run("perplexity", "--kl-base", base), 1, "ends too early")
        for at, bad in [(0, b"x"), (12, b"\x01"), (16, b"\xff\xff\xff\x7f"),
                        (20, b"\xff\xff\xff\xff")]:
            with open(base, "wb") as f:
                f.write(data[:at] + bad + data[at + len(bad):])
            self.assertEqual(run("perplexity", "--kl-base", base).returncode, 1)

    def test_bench(self):
        report = json.loads(run("bench", "-p", "64", "-n", "16", "-r", "2",
                                "--json").stdout)
        self.assertGreater(report["prefill_tokens_per_second"], 0)
        self.assertGreater(report["decode_tokens_per_second"], 0)
        self.assertGreater(report["read_bandwidth_gb_per_second"], 0)
        self.assertLess(report["peak_rss_mib"], 60)
        report = json.loads(run("bench", "-p", "0", "-n", "16", "-r", "1", "--depth", "40",
                                "--ctx", "56", "--json").stdout)
        self.assertEqual(report["depth"], 40)
        self.assertGreater(report["decode_tokens_per_second"], 0)
        report = json.loads(run("bench", "-p", "0", "-n", "6", "-r", "1", "--depth", "40",
                                "--parallel", "5", "--ctx", "56", "--json").stdout)
        self.assertEqual(report["parallel"], 5)
        self.assertGreater(report["decode_tokens_per_second"], 0)
        with tempfile.TemporaryDirectory() as folder:
            prompt = pathlib.Path(folder) / "prompt"
            prompt.write_text("over and over and over and over")
            report = json.loads(run("bench", "-f", prompt, "-n", "16", "-r", "1",
                                    "--lookup", "7", "--json").stdout)
        self.assertGreater(report["lookup_tokens_per_second"], 0)
        self.assertGreater(report["greedy_tokens_per_second"], 0)
        self.assertLessEqual(report["accepted"], report["drafted"])

    # Conversation

    def test_chat_over_a_pipe(self):
        args = ["chat", "--seed", "3", "-n", "6", "-v"]
        one = run(*args, stdin=b"first\n")
        self.assertEqual(one.returncode, 0, one.stderr)
        two = run(*args, stdin=b"first\nsecond\n")
        self.assertEqual(two.returncode, 0, two.stderr)
        # The first answers agree, and the second turn evaluates only new text.
        self.assertTrue(two.stdout.startswith(one.stdout))
        prompts = [int(line.split()[1]) for line in two.stderr.decode().splitlines()
                   if line.startswith("prompt:")]
        self.assertEqual(len(prompts), 2)
        # 27 tokens of markers and text, and six of the answer, which are up to
        # three each when they were no UTF-8; the whole would be 24 more.
        self.assertLessEqual(prompts[1], 27 + 18)
        third = run(*args, stdin=b"first\n/reset\nfirst\n/exit\nnever\n")
        prompts = [int(line.split()[1]) for line in third.stderr.decode().splitlines()
                   if line.startswith("prompt:")]
        self.assertEqual(prompts[0], prompts[1])

    def test_chat_does_not_fit(self):
        result = run("chat", "--ctx", "60", stdin=b"x" * 100 + b"\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"does not fit into the context of 60", result.stderr)

    # Signals and full disks

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            for args in [["info"], ["--raw", "-n", "3", "hello"],
                         ["logits", "--ids", "1,2", "-o", "-"]]:
                result = subprocess.run([PROGRAM, *args], stdout=full,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        timeout=60)
                self.assertEqual(result.returncode, 1, args)
                self.assertIn(b"No space left", result.stderr)
                self.assertEqual(result.stderr.count(b"\n"), 1)

    def test_reader_that_went_away(self):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([PROGRAM, "--raw", "-n", "30", "hello"], stdout=writer,
                                stderr=subprocess.PIPE, timeout=60)
        os.close(writer)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, b"")

    def test_interrupt_ends_with_130(self):
        out = self.path("x.npy")
        slow = ",".join(["1", "299", "2"])
        process = subprocess.Popen([PROGRAM, "logits", "--ids", slow, "-o", out],
                                   stderr=subprocess.PIPE)
        # The slow step begins right after the output file was begun.
        end = time.time() + 30
        while not os.listdir(self.folder.name) and time.time() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_ctrl_c_in_a_conversation(self):
        # A terminal, so that Ctrl-C is what it is for people. The answer never
        # ends by itself soon: up to the whole context.
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(PROGRAM, [PROGRAM, "chat", "--seed", "1", "--special"])
        output = b""

        def wait_for(count, limit=20):
            nonlocal output
            end = time.time() + limit
            while output.count(b"> ") < count and time.time() < end:
                try:
                    output += os.read(terminal, 4096)
                except OSError:
                    break
            self.assertGreaterEqual(output.count(b"> "), count, output)

        wait_for(1)
        os.write(terminal, b"hello\n")
        time.sleep(0.05)
        os.write(terminal, b"\x03")
        # Either the answer was stopped or it had ended and Ctrl-C left the
        # prompt; the program must not have been killed by the signal.
        time.sleep(0.5)
        try:
            os.write(terminal, b"/exit\n")
        except OSError:
            pass
        end = time.time() + 20
        status = None
        while time.time() < end:
            try:
                os.read(terminal, 4096)
            except OSError:
                pass
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            time.sleep(0.05)
        os.close(terminal)
        self.assertTrue(os.WIFEXITED(status))
        self.assertIn(os.WEXITSTATUS(status), (0, 130))


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
