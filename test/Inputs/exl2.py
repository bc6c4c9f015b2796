# exl2.py - Matrices as ExLlamaV2 writes them.
# SPDX-License-Identifier: Apache-2.0
"""Makes EXL2 tensors of random matrices, and their values. Written from the
format's description; nothing here knows how qcc reads it."""
import numpy as np

from hf_folder import pack


def exl2(random, weight, order=None, plan=((5, 32, 1), (4, 32, 0)), short=False, in_order=False,
         bias=None, q_perm=False):
    """EXL2 tensors of a matrix [out, in] by suffix, and its new values. `plan` has
    (bits, group, number of groups) for runs of k; 0 groups stand for all that is
    left, the last of them perhaps smaller. `order` is a generator of random
    numbers: matrices that read the same rows have the same."""
    out, k = weight.shape
    width = -(-out // 32) * 32
    permutation = np.arange(k) if in_order else (order or random).permutation(k)
    groups = []  # bits, first k, end
    for bits, size, count in plan:
        begin = groups[-1][2] if groups else 0
        end = min(begin + size * count, k) if count else k
        groups += [(bits, at, min(at + size, end)) for at in range(begin, end, size)]
    assert groups[-1][2] == k

    rows, nibbles, maxima, pairs = [], [], [], []
    values = np.empty((k, out))
    for bits, begin, end in groups:
        part = np.zeros((end - begin, width))
        part[:, :out] = weight.T[permutation[begin:end]]
        middle = 1 << (bits - 1)
        wanted = np.abs(part).max(axis=0) / (middle - 0.5) + 1e-9
        # The largest scale is 16^2 / 256 of the group's.
        maximum = np.float16(wanted.max())
        sub = np.clip(np.ceil(np.sqrt(wanted / float(maximum) * 256)) - 1, 0, 15).astype(np.int64)
        scale = (sub + 1) ** 2 * float(maximum) / 256
        codes = np.clip(np.rint(part / scale) + middle, 0, 2 * middle - 1).astype(np.int64)
        codes[:, out:] = middle
        values[permutation[begin:end]] = ((codes - middle) * scale)[:, :out]
        pairs += [bits, sum(map(len, rows))]
        rows.append(pack(codes, bits))
        nibbles.append(sub)
        maxima.append(maximum)
    shifts = np.arange(0, 32, 4)
    words = (np.array(nibbles).reshape(len(groups), -1, 8) << shifts).sum(axis=2)
    place_type = np.int16 if short else np.int32
    tensors = {"q_weight": np.concatenate(rows),
               "q_scale": words.astype(np.uint32).view(np.int32),
               "q_scale_max": np.array(maxima, np.float16),
               "q_groups": np.array(pairs, np.int16),
               "q_invperm": np.argsort(permutation).astype(place_type)}
    if q_perm:
        tensors["q_perm"] = permutation.astype(place_type)
    if bias is not None:
        tensors["bias"] = np.full(out, bias, np.float16)
    return tensors, values.T
