# k_quants.py - Rows to be rounded to K-quants, and the fields of their blocks.
# SPDX-License-Identifier: Apache-2.0
"""What tests of rounding to K-quants and the tool that made the golden blocks
share. The rows are computed from integers alone, so that they are the same bits
with every version of numpy."""
import hashlib
import subprocess

import numpy as np

BLOCK = 256
# Bytes of a super-block.
SIZES = {"q2_k": 84, "q3_k": 110, "q4_k": 144, "q5_k": 176, "q6_k": 210}


def hashed(seed, count):
    """`count` integers of 32 bits that look random."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9e3779b1 % 2**32)
    for shift, factor in ((16, 0x7feb352d), (15, 0x846ca68b)):
        x = (x ^ x >> np.uint32(shift)) * np.uint32(factor)
    return x ^ x >> np.uint32(16)


def bell(seed, count):
    """Like a normal distribution with a deviation of 1: sums of 12 integers."""
    terms = hashed(seed, 12 * count).reshape(12, count) >> np.uint32(12)
    total = terms.astype(np.int64).sum(axis=0) - 6 * 2**20
    return np.float32(total) * np.float32(2.0**-20)


def weights(seed, rows, columns):
    """Like those of a model: groups of different sizes, and outliers."""
    count = rows * columns
    groups = hashed(seed + 1, count // 16).astype(np.int64) % 24 + 8
    x = bell(seed, count) * np.repeat(np.float32(groups), 16) * np.float32(2.0**-10)
    outliers = hashed(seed + 2, count) % 199 == 0
    return np.where(outliers, x * np.float32(12), x).reshape(rows, columns)


def special_rows(columns=2 * BLOCK):
    """[kinds, columns], each row of another kind."""
    normal = bell(1, columns)
    step = np.arange(columns)
    group = step // 16

    def constant(value):
        return np.full(columns, value, np.float32)

    def power(exponent):
        return np.ldexp(np.float32(1), exponent).astype(np.float32)

    single = np.where(step == 77, np.float32(-3), np.float32(0))
    half = (hashed(5, columns) % 81).astype(np.float32) / 2 - 20
    rows = [
        constant(0), constant(-0.0), constant(0.7), constant(-0.7), constant(power(-140)),
        single, -single, np.where(step < 300, normal, np.float32(0)),
        normal, -np.abs(normal), np.abs(normal), half,
        step.astype(np.float32) - 100, np.where(step % 2, np.float32(1), np.float32(-1)),
        np.where(step % 16 == 3, normal * 40, normal),
        # Magnitudes: of each group its own, and all of them small or large.
        normal * power(group % 41 - 20), normal * power(group % 11 - 5),
        normal * power(-(group % 4) * 30), normal * power(-20), normal * power(-28),
        normal * power(-48), normal * power(-52), normal * power(-100), normal * power(-145),
        normal * power(16), normal * power(22), normal * power(60), normal * power(124),
        # A range far from 0, which mins cannot or can reach.
        normal * power(-6) + 50, normal * power(-6) - 50, normal * power(-13) - 1000,
        # As 16-bit checkpoints have them.
        (normal / 50).astype(np.float16).astype(np.float32),
        ((normal / 50).view(np.uint32) & np.uint32(0xffff0000)).view(np.float32),
    ]
    return np.stack([np.asarray(row, np.float32) for row in rows])


def model_rows():
    """Of which the golden file has only the digest."""
    return weights(100, 256, 3 * BLOCK)


def digest(parts):
    """SHA-256 of what fields() gives."""
    total = hashlib.sha256()
    for part in parts:
        if part is not None:
            total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def bits(data, width):
    """Numbers of `width` bits of each byte, low ones first: a new last axis."""
    shifts = np.arange(0, 8, width, dtype=np.uint8)
    return data[..., None] >> shifts & np.uint8(2**width - 1)


def spread(data, width):
    """Codes of 256 elements, of which each 32 bytes hold 8 / width runs of 32."""
    lanes = bits(data.reshape(len(data), -1, 32), width)
    return lanes.transpose(0, 1, 3, 2).reshape(len(data), -1)


def fields(name, blocks):
    """Of blocks [n, bytes]: codes [n, 256], scale [n], min [n], sub and subMin
    [n, groups], without mins None."""
    def half(at):
        return np.ascontiguousarray(blocks[:, at:at + 2]).view(np.uint16)[:, 0]

    if name == "q2_k":
        return (spread(blocks[:, 16:80], 2), half(80), half(82), blocks[:, :16] & 15,
                blocks[:, :16] >> 4)
    if name == "q3_k":
        low = bits(blocks[:, 96:104], 4).transpose(0, 2, 1).reshape(-1, 16)
        high = bits(blocks[:, 104:108], 2).transpose(0, 2, 1).reshape(-1, 16)
        codes = spread(blocks[:, 32:96], 2) | spread(blocks[:, :32], 1) << 2
        return codes, half(108), None, low | high << 4, None
    if name in ("q4_k", "q5_k"):
        packed = blocks[:, 4:16]
        low, high = packed[:, 8:] & 15, packed[:, 8:] >> 4
        sub = np.concatenate([packed[:, :4] & 63, low | packed[:, :4] >> 6 << 4], axis=1)
        sub_min = np.concatenate([packed[:, 4:8] & 63, high | packed[:, 4:8] >> 6 << 4], axis=1)
        if name == "q4_k":
            codes = spread(blocks[:, 16:], 4)
        else:
            codes = spread(blocks[:, 48:], 4) | spread(blocks[:, 16:48], 1) << 4
        return codes, half(0), half(2), sub, sub_min
    assert name == "q6_k"
    # Each half of 128: 64 bytes of low bits, 32 of high ones.
    low = bits(blocks[:, :128].reshape(-1, 2, 64), 4).transpose(0, 1, 3, 2)
    high = bits(blocks[:, 128:192].reshape(-1, 2, 32), 2).transpose(0, 1, 3, 2)
    codes = low.reshape(-1, 256) | high.reshape(-1, 256) << 4
    return codes, half(208), None, blocks[:, 192:208], None


def values(name, parts):
    """f32 [n, 256] of what fields() gives."""
    codes, scale, least, sub, sub_min = parts
    group = BLOCK // sub.shape[1]
    zero, sub_zero = {"q3_k": (4, 32), "q6_k": (32, 0)}.get(name, (0, 0))
    sub = sub.view(np.int8) if name == "q6_k" else sub.astype(np.float32) - sub_zero
    step = scale.view(np.float16).astype(np.float32)[:, None] * sub
    result = np.repeat(step, group, 1) * (codes.astype(np.float32) - zero)
    if least is not None:
        shift = least.view(np.float16).astype(np.float32)[:, None] * sub_min
        result -= np.repeat(shift, group, 1)
    return result


def rounded(tool, name, rows):
    """As fields(), of f32 rows that qcc-format-tool rounds."""
    count, k = rows.shape
    blocks = k // BLOCK
    groups = blocks * (8 if name in ("q4_k", "q5_k") else 16)
    has_min = name in ("q2_k", "q4_k", "q5_k")
    data = subprocess.run([tool, "round", name, str(k)], input=rows.tobytes(),
                          stdout=subprocess.PIPE, check=True).stdout
    sizes = [k, 4 * blocks, 4 * blocks * has_min, groups, groups * has_min]
    assert len(data) == sum(sizes) * count
    parts = [np.ascontiguousarray(part) for part in np.split(
        np.frombuffer(data, np.uint8).reshape(count, -1), np.cumsum(sizes)[:-1], axis=1)]
    codes, sub, sub_min = (part.reshape(count * blocks, -1) for part in (parts[0], *parts[3:]))
    scale, least = (part.view(np.uint32).ravel().astype(np.uint16) for part in parts[1:3])
    return codes, scale, least if has_min else None, sub, sub_min if has_min else None
