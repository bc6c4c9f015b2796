# hf_formats.py - More ways to keep a quantized matrix in a folder.
# SPDX-License-Identifier: Apache-2.0
"""Each writer turns a matrix [out, in] into tensors by suffix and its new values, as
hf_folder.gptq() does; DECODERS give values from such tensors alone, element by element,
from the formats' descriptions."""
import json
import numpy as np
from hf_folder import BF16, F8E4M3, as_values, pack

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def words(codes):
    """Codes [n, m] of 4 bits along the second axis, natural order."""
    return pack(codes.T, 4).T.copy()


def awq_width(k, group):
    """Words of zero points for a row in the GEMV packings."""
    step = {32: 4, 64: 2}.get(group, 1)
    return -(-(k // group) // (8 * step)) * step


def awq_codes(weight, group):
    """Codes [out, in], zero points and f16 scales [out, groups]."""
    out, k = weight.shape
    blocks = weight.reshape(out, k // group, group)
    scales = ((blocks.max(axis=2) - blocks.min(axis=2)) / 15 + 1e-6).astype(np.float16)
    values = scales.astype(np.float64)
    zeros = np.clip(np.rint(-blocks.min(axis=2) / values), 0, 15).astype(np.int64)
    codes = np.rint(blocks / values[:, :, None]) + zeros[:, :, None]
    return np.clip(codes, 0, 15).astype(np.int64).reshape(out, k), zeros, scales


def padded(array, columns):
    """With other numbers behind, which nothing may read."""
    rest = np.full((len(array), columns - array.shape[1]), 9)
    return np.concatenate([array, rest.astype(array.dtype)], axis=1)


def awq_gemv(random, weight, order=None, group=32):
    codes, zeros, scales = awq_codes(weight, group)
    width = awq_width(weight.shape[1], group)
    values = (codes - zeros.repeat(group, axis=1)) * scales.astype(np.float64).repeat(group, axis=1)
    return {"qweight": words(codes), "qzeros": words(padded(zeros, width * 8)),
            "scales": padded(scales, width * 8)}, values


def awq_fast(random, weight, order=None, group=64, zeros_name="qzeros"):
    codes, zeros, scales = awq_codes(weight, group)
    out, k = codes.shape
    offsets = (-zeros * scales.astype(np.float64)).astype(np.float16)
    width = awq_width(k, group)
    # Pairs of a run of 32, by place in their eight; then even before odd ones.
    mixed = codes.reshape(out, -1, 4, 4, 2).transpose(0, 1, 3, 4, 2).reshape(out // 4, 4, -1, 64)
    mixed = mixed.transpose(0, 2, 1, 3).reshape(out // 4, -1, 64, 4)
    qweight = (mixed << np.arange(0, 16, 4)).sum(axis=3).astype(np.uint16).view(np.int16)
    values = codes * scales.astype(np.float64).repeat(group, axis=1) + \
        offsets.astype(np.float64).repeat(group, axis=1)
    return {"qweight": qweight.reshape(out // 4, k), "scales": padded(scales, width * 8).T.copy(),
            zeros_name: padded(offsets, width * 8).T.copy()}, values


def fp4_codes(weight, scale):
    """Nearest codes; `scale` has one value for each element."""
    return np.abs((weight / scale)[:, :, None] - E2M1).argmin(axis=2)


def fp4_bytes(codes):
    return (codes[:, ::2] | codes[:, 1::2] << 4).astype(np.uint8)


def mxfp4(random, weight, order=None):
    out, k = weight.shape
    largest = np.abs(weight.reshape(out, -1, 32)).max(axis=2)
    exponents = np.floor(np.log2(largest + 1e-9)).astype(int) - 2
    scale = np.ldexp(1.0, exponents).repeat(32, axis=1)
    codes = fp4_codes(weight, scale)
    return {"weight_packed": fp4_bytes(codes),
            "weight_scale": (exponents + 127).astype(np.uint8)}, E2M1[codes] * scale


def nvfp4(random, weight, order=None, modelopt=False):
    out, k = weight.shape
    global_scale = np.float32(448 * 6 / np.abs(weight).max())
    if modelopt:
        global_scale = np.float32(1) / global_scale
    table = F8E4M3(np.arange(127)).values()
    wanted = np.abs(weight.reshape(out, -1, 16)).max(axis=2) / 6
    wanted = wanted / global_scale if modelopt else wanted * global_scale
    scale = F8E4M3(np.abs(wanted[:, :, None] - table).argmin(axis=2))
    stored = scale.values().astype(np.float32)
    both = stored * global_scale if modelopt else stored / global_scale
    both = np.maximum(both, np.float32(1e-30)).astype(np.float64).repeat(16, axis=1)
    codes = fp4_codes(weight, both)
    if not modelopt:  # The inverse is rounded, too.
        both = (stored * (np.float32(1) / global_scale)).astype(np.float64).repeat(16, axis=1)
    both = np.where(stored.repeat(16, axis=1) == 0, 0, both)
    bytes_, values = fp4_bytes(codes), E2M1[codes] * both
    if modelopt:
        return {"weight": bytes_, "weight_scale": scale, "weight_scale_2": np.array(global_scale),
                "input_scale": np.array(0.5, np.float32)}, values
    return {"weight_packed": bytes_, "weight_scale": scale,
            "weight_global_scale": np.array([global_scale]),
            "input_global_scale": np.array([0.5], np.float32)}, values


HQQ_PACKINGS = {8: ("8bit_u8", 1, np.uint8), 4: ("4bit_u8", 2, np.uint8),
                3: ("3bit_32", 10, np.uint32), 2: ("2bit_u8", 4, np.uint8), 1: ("1bit_u8", 8, np.uint8)}


NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0], np.float32)
FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3, -0.0, -0.0625, -8, -12, -4, -6, -2, -3], np.float32) / 12


def bnb4(random, weight, order=None, kind="nf4", nested=False, block=64):
    """bitsandbytes, 4 bits: what save_pretrained writes of a module. Values in f32."""
    table, flat = {"nf4": NF4, "fp4": FP4}[kind], weight.astype(np.float32).reshape(-1, block)
    scales = np.abs(flat).max(axis=1)
    state = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(weight.shape)}
    tensors = {"weight.quant_map": table, "weight.absmax": scales}
    if nested:
        # An offset, and one of 256 entries times what 256 scales share.
        offset, entries = scales.mean(), np.linspace(-1, 1, 256, dtype=np.float32)
        rest = scales - offset
        outer = np.array([np.abs(rest[i:i + 256]).max() for i in range(0, len(rest), 256)], np.float32)
        share = rest / outer.repeat(256)[:len(rest)]
        codes = np.abs(share[:, None] - entries).argmin(axis=1).astype(np.uint8)
        scales = entries[codes] * outer.repeat(256)[:len(rest)] + offset
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(offset)}
        tensors |= {"weight.absmax": codes, "weight.nested_absmax": outer,
                    "weight.nested_quant_map": entries}
    codes = np.abs((flat / scales[:, None])[:, :, None] - table).argmin(axis=2).reshape(-1)
    tensors["weight"] = (codes[::2] << 4 | codes[1::2]).astype(np.uint8)[:, None]
    tensors[f"weight.quant_state.bitsandbytes__{kind}"] = np.frombuffer(
        json.dumps(state).encode(), np.uint8)
    values = table[codes].reshape(-1, block) * scales[:, None]
    return tensors, values.reshape(weight.shape).astype(np.float64)


def hqq(random, weight, order=None, bits=4, group=64, scale_type=np.float16):
    """Rounded to nearest; scales and zero points are floats of one type."""
    out, k = weight.shape
    lines = weight.reshape(-1, group)
    low, high = lines.min(axis=1, keepdims=True), lines.max(axis=1, keepdims=True)
    most = (1 << bits) - 1
    scale = scale_type((high - low) / most)
    zero = scale_type(-low / as_values(scale).astype(np.float64))
    both = [as_values(array).astype(np.float64) for array in (scale, zero)]
    codes = np.clip(np.rint(lines / both[0] + both[1]), 0, most)
    packing, per_word, word = HQQ_PACKINGS[bits]
    count = -(-len(codes) // per_word)
    filled = np.zeros((count * per_word, group), word)
    filled[:len(codes)] = codes
    packed = np.zeros((count, group), word)
    for part in filled.reshape(per_word, count, group):
        packed = packed << word(bits % 8) | part
    tensors = {"W_q": packed.view(np.int32) if bits == 3 else packed, "scale": scale, "zero": zero,
               "shape": np.array([out, k]), "group_size": np.array(group, np.int32),
               "axis": np.array(1, np.int32), "packing": np.frombuffer(packing.encode(), np.uint8),
               "nbits": np.array(bits, np.int32), "view_as_float": np.array(0, np.uint8)}
    return tensors, ((codes - both[1]) * both[0]).reshape(out, k)


def packed_order(random, weight, order=None, bits=4, group=32, sym=True, scale_type=BF16):
    """compressed-tensors with weight_g_idx."""
    out, k = weight.shape
    middle = 1 << (bits - 1)
    where = (order or random).permutation(np.arange(k) // group)
    scales = np.stack([np.abs(weight[:, where == g]).max(axis=1) for g in range(k // group)], 1)
    scales = scales / middle + 1e-6
    scales = BF16(scales) if scale_type is BF16 else scales.astype(scale_type)
    zeros = np.zeros(scales.shape, np.int64) if sym else random.integers(-3, 3, scales.shape)
    values = as_values(scales).astype(np.float64)[:, where]
    codes = np.clip(np.rint(weight / values) + zeros[:, where], -middle, middle - 1)
    tensors = {"weight_packed": pack((codes + middle).astype(np.int64).T, bits).T.copy(),
               "weight_scale": scales, "weight_shape": np.array(weight.shape, np.int64),
               "weight_g_idx": where.astype(np.int32)}
    if not sym:
        tensors["weight_zero_point"] = pack(zeros + middle, bits)
    return tensors, (codes - zeros[:, where]) * values


# Decoders: t[suffix] of one matrix, and its shape.

def nibbles(array, count):
    bits = array.view(f"u{array.dtype.itemsize}").astype(np.uint64)
    per = array.dtype.itemsize * 2
    fields = bits[:, :, None] >> np.arange(0, per * 4, 4, dtype=np.uint64) & np.uint64(15)
    return fields.reshape(len(array), -1)[:, :count].astype(np.int64)


def decode_gemv(t, out, k, group):
    codes, zeros = nibbles(t["qweight"], k), nibbles(t["qzeros"], k // group)
    scales = t["scales"][:, :k // group].astype(np.float64)
    return (codes - zeros.repeat(group, 1)) * scales.repeat(group, 1)


def decode_fast(t, out, k, group):
    values = np.empty((out, k))
    zeros = t["qzeros"] if "qzeros" in t else t["scaled_zeros"]
    words_ = t["qweight"].view(np.uint16)
    for n in range(out):
        for i in range(k):
            run = i % 32
            j = 8 * (run % 8 // 2) + 4 * (run % 2) + run // 8
            at = n % 4 * 64 + i % 64 // 32 * 32 + j
            code = int(words_[n // 4, i // 64 * 64 + at // 4]) >> 4 * (at % 4) & 15
            values[n, i] = code * float(t["scales"][i // group, n]) + float(zeros[i // group, n])
    return values


def decode_mxfp4(t, out, k, group=32):
    return E2M1[nibbles(t["weight_packed"], k)] * \
        np.ldexp(1.0, t["weight_scale"].astype(int) - 127).repeat(32, 1)


def decode_nvfp4(t, out, k, group=16):
    scale = t["weight_scale"].values().astype(np.float32)
    if "weight_scale_2" in t:
        scale = scale * t["weight_scale_2"]
    else:
        scale = scale / t["weight_global_scale"]
    codes = nibbles(t["weight" if "weight_scale_2" in t else "weight_packed"], k)
    return E2M1[codes] * scale.astype(np.float64).repeat(16, 1)


def decode_hqq(t, out, k, group):
    bits = int(t["nbits"])
    per_word = HQQ_PACKINGS[bits][1]
    words_ = t["W_q"].view(np.uint32) if bits == 3 else t["W_q"]
    shifts = bits * np.arange(per_word)[::-1]
    codes = words_[None].astype(np.int64) >> shifts[:, None, None] & ((1 << bits) - 1)
    codes = codes.reshape(-1, group)[:out * k // group]
    scale, zero = (as_values(t[name]).astype(np.float64) for name in ("scale", "zero"))
    return ((codes - zero) * scale).reshape(out, k)


def decode_packed_order(t, out, k, group):
    bits = t["weight_packed"].shape[1] * 32 // k
    middle = 1 << (bits - 1)
    fields = t["weight_packed"].view(np.uint32)[:, :, None] >> np.arange(0, 32, bits) & (2 * middle - 1)
    codes = fields.reshape(out, k).astype(np.int64) - middle
    where = t["weight_g_idx"]
    zeros = np.zeros((out, k // group), np.int64)
    if "weight_zero_point" in t:
        rows = np.arange(out)
        packed = t["weight_zero_point"].view(np.uint32).astype(np.int64)[rows * bits // 32]
        zeros = (packed >> (rows * bits % 32)[:, None] & (2 * middle - 1)) - middle
    return (codes - zeros[:, where]) * as_values(t["weight_scale"]).astype(np.float64)[:, where]
