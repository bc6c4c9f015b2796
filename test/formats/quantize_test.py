#!/usr/bin/env python3
# quantize_test.py - Compares rounding to codes with quantizers that we did not write.
# SPDX-License-Identifier: Apache-2.0
#
#   quantize_test.py path/to/qcc-format-tool [unittest arguments]
"""Types that ggml has must get the bits of its quantizers: scales, mins and codes
of those of the PyPI package `gguf`, for K-quants, which that does not have, of
blocks that ggml made (k_quants.npz, by make_k_quants.py). The others are checked
against what rounding to nearest means, in float64: no other code of a group is
nearer.

Exits 77 (skipped) without numpy or gguf."""
import pathlib
import subprocess
import sys
import unittest

try:
    import gguf
    import numpy as np
except ImportError:
    print("skipped: no numpy or no gguf")
    sys.exit(77)

sys.dont_write_bytecode = True
import k_quants  # noqa: E402

TOOL = None
NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0], np.float32)


def rows(k, seed=0):
    """Of several kinds, with ties, zeros, small and large numbers."""
    random = np.random.default_rng(seed)
    normal = random.normal(0, 0.02, (64, k)).astype(np.float32)
    halves = random.integers(-40, 40, (16, k)).astype(np.float32) / 2
    outlier = normal[:16].copy()
    outlier[:, ::37] *= 20
    small = normal[:8] * np.float32(1e-7)
    one_sided = np.abs(normal[:8])
    f16 = normal[:8].astype(np.float16).astype(np.float32)
    zero = np.zeros((2, k), np.float32)
    zero[1, 5] = -3
    constant = np.full((2, k), 0.7, np.float32)
    constant[1] = -0.7
    return np.concatenate([normal, halves, outlier, small, one_sided, -one_sided, f16, zero,
                           constant])


def rounded(name, values, group, has_min=False, has_zeros=False):
    """Codes [rows, k], and scales, mins and zeros [rows, groups]."""
    count, k = values.shape
    groups = k // group
    data = subprocess.run([TOOL, "round", name, str(k)], input=values.tobytes(),
                          stdout=subprocess.PIPE, check=True).stdout
    size = k + 4 * groups * (1 + has_min) + groups * has_zeros
    assert len(data) == size * count
    data = np.frombuffer(data, np.uint8).reshape(count, size)
    parts = np.split(data, np.cumsum([k, 4 * groups, 4 * groups * has_min]), axis=1)
    return (parts[0], *(np.ascontiguousarray(part).view(np.uint32) for part in parts[1:3]),
            parts[3])


def as_half(bits):
    return bits.astype(np.uint16).view(np.float16).astype(np.float64)


class Ggml(unittest.TestCase):
    def fields(self, name, values):
        """Of the blocks of gguf: scales, mins and codes."""
        kind = gguf.GGMLQuantizationType[name.upper()]
        blocks = gguf.quants.quantize(values, kind)
        block = gguf.GGML_QUANT_SIZES[kind][1]
        blocks = blocks.reshape(len(values), -1, block)
        halves = np.ascontiguousarray(blocks[..., :4]).view(np.uint16).astype(np.uint32)
        at = 4 if name.endswith("_1") else 2
        if name == "q8_0":
            codes = blocks[..., at:] ^ np.uint8(0x80)
        else:
            nibbles = blocks[..., block - 16:]
            codes = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)
            if name.startswith("q5"):
                bits = np.unpackbits(blocks[..., at:at + 4], axis=-1, bitorder="little")
                codes |= bits << 4
        return halves[..., 0], halves[..., 1], codes.reshape(len(values), -1)

    def test_bits(self):
        for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0"):
            for k in (32, 96, 576):
                with self.subTest(type=name, k=k), np.errstate(all="ignore"):
                    values = rows(k, seed=k)
                    has_min = name.endswith("_1")
                    codes, scales, mins, _ = rounded(name, values, 32, has_min)
                    expected = self.fields(name, values)
                    self.assertTrue(np.array_equal(scales, expected[0]))
                    if has_min:
                        self.assertTrue(np.array_equal(mins, expected[1]))
                    self.assertTrue(np.array_equal(codes, expected[2]))


class GgmlK(unittest.TestCase):
    def test_bits(self):
        golden = np.load(pathlib.Path(__file__).with_name("k_quants.npz"))
        for name in k_quants.SIZES:
            expected = k_quants.fields(name, golden[name])
            got = k_quants.rounded(TOOL, name, k_quants.special_rows())
            for part, a, b in zip(("codes", "scale", "min", "sub", "subMin"), expected, got):
                with self.subTest(type=name, part=part):
                    self.assertTrue(np.array_equal(a, b) if a is not None else b is None)
            with self.subTest(type=name, rows="model"):
                got = k_quants.rounded(TOOL, name, k_quants.model_rows())
                self.assertEqual(k_quants.digest(got), str(golden[name + "_sha256"]))

    def test_fields(self):
        """The fields that this test compares mean what gguf decodes."""
        golden = np.load(pathlib.Path(__file__).with_name("k_quants.npz"))
        for name in k_quants.SIZES:
            with self.subTest(type=name), np.errstate(all="ignore"):
                values = k_quants.values(name, k_quants.fields(name, golden[name]))
                expected = gguf.quants.dequantize(
                    golden[name], gguf.GGMLQuantizationType[name.upper()])
                self.assertTrue(np.array_equal(values, expected, equal_nan=True))


class Nearest(unittest.TestCase):
    def check(self, values, codes, scale, numbers, group, slack=1e-3):
        """`numbers` [rows, groups, codes] are what codes mean; no other one is
        nearer to a value, but for the rounding of the scale."""
        x = values.reshape(len(values), -1, group).astype(np.float64)
        codes = codes.reshape(x.shape)
        meant = scale[..., None] * numbers
        distance = np.abs(x[..., None] - meant[:, :, None, :])
        got = np.take_along_axis(distance, codes[..., None].astype(np.int64), -1)[..., 0]
        limit = distance.min(axis=-1) + slack * np.abs(scale)[..., None] * np.abs(numbers).max()
        self.assertTrue((got <= limit).all())

    def test_int4(self):
        values = rows(384)
        codes, bits, _, _ = rounded("int4-g128", values, 128)
        scale = as_half(bits)
        blocks = values.reshape(len(values), -1, 128)
        peak = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
        self.assertTrue(np.allclose(scale, peak / -8, rtol=1e-3, atol=1e-7))
        numbers = np.broadcast_to(np.arange(16) - 8.0, (*scale.shape, 16))
        normal = np.abs(scale) > 1e-4 # of smaller ones f16 has few bits
        self.check(values[normal.all(1)], codes[normal.all(1)], scale[normal.all(1)],
                   numbers[normal.all(1)], 128)

    def test_int4_asymmetric(self):
        values = rows(384)
        values = values[np.abs(values).reshape(len(values), -1, 128).max(-1).min(-1) > 2e-3]
        codes, bits, _, zeros = rounded("int4-g128-asym", values, 128, has_zeros=True)
        scale = as_half(bits)
        blocks = values.reshape(len(values), -1, 128)
        span = np.maximum(blocks.max(-1), 0) - np.minimum(blocks.min(-1), 0)
        self.assertTrue(np.allclose(scale, span / 15, rtol=1e-3))
        self.assertTrue((zeros <= 15).all())
        # A zero point is rounded: the ends may be half a step away.
        self.check(values, codes, scale, np.arange(16) - zeros[..., None].astype(np.float64), 128)
        # Zero is exact.
        self.assertTrue((codes[values == 0] == np.repeat(zeros, 128, 1)[values == 0]).all())

    def test_int8(self):
        values = rows(160)
        values = values[np.abs(values).max(1) > 1e-3]
        codes, bits, _, _ = rounded("int8", values, 160)
        scale = as_half(bits)
        self.assertTrue(np.allclose(scale[:, 0], np.abs(values).max(1) / 127, rtol=1e-3))
        self.check(values, codes, scale, np.broadcast_to(np.arange(256) - 128.0,
                                                         (len(values), 1, 256)), 160)

    def test_nf4(self):
        values = rows(192)
        codes, bits, _, _ = rounded("nf4", values, 64)
        scale = bits.view(np.float32)
        peak = np.abs(values).reshape(len(values), -1, 64).max(-1)
        self.assertTrue(np.array_equal(scale, peak))
        self.check(values, codes, scale.astype(np.float64),
                   np.broadcast_to(NF4.astype(np.float64), (*scale.shape, 16)), 64, 1e-6)

    def test_refused(self):
        for name, k in (("q4_0", 40), ("int4-g128", 80), ("int8", 40), ("q4_k", 128),
                        ("q6_k", 640), ("q4_k_m", 256), ("nf4", 48)):
            self.assertEqual(subprocess.run([TOOL, "round", name, str(k)], input=b"",
                                            capture_output=True).returncode, 2)


if __name__ == "__main__":
    TOOL = sys.argv[1]
    unittest.main(argv=sys.argv[1:])
