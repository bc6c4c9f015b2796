#!/usr/bin/env python3
# make_folder.py - Seeds for fuzzing the reader of Hugging Face folders.
# SPDX-License-Identifier: Apache-2.0
"""Writes inputs of test/fuzz/hugging_face_fuzz.cpp: file after file a byte that
picks the name, u16 length, content. Needs no package.

  make_folder.py --fuzz-corpus FOLDER
"""
import argparse
import json
import pathlib
import struct

NAMES = ("config.json", "model.safetensors", "quantize_config.json", "generation_config.json",
         "model.safetensors.index.json", "model-00001-of-00002.safetensors",
         "model-00002-of-00002.safetensors", "pytorch_model.bin", "tokenizer.json",
         "tokenizer_config.json", "chat_template.jinja", "hf_quant_config.json")
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I16": 2, "I64": 8, "I8": 1, "U8": 1,
         "F8_E4M3": 1, "F8_E5M2": 1}


def safetensors(tensors):
    """`tensors`: (name, dtype, shape, content or None)."""
    header, data = {}, b""
    for name, dtype, shape, content in tensors:
        size = SIZES[dtype]
        for dim in shape:
            size *= dim
        content = bytes(i * 7 & 255 for i in range(size)) if content is None else content
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def gptq(module, k, out, bits=4, group=32, word=0x77777777, g_idx=True, bias=False):
    groups = k // group
    tensors = [(module + ".qweight", "I32", [k * bits // 32, out], None),
               (module + ".scales", "F16", [groups, out], None),
               (module + ".qzeros", "I32", [groups, out * bits // 32],
                struct.pack("<I", word) * (groups * out * bits // 32))]
    if g_idx:
        tensors.append((module + ".g_idx", "I32", [k],
                        b"".join(struct.pack("<I", i // group) for i in range(k))))
    if bias:
        tensors.append((module + ".bias", "F16", [out], bytes(2 * out)))
    return tensors


def exl2(module, out, groups, in_order=False, place="I32"):
    """`groups`: bits and elements of k of each."""
    k, rows, pairs = 0, 0, []
    for bits, columns in groups:
        pairs += [bits, rows]
        rows += columns * bits // 32
        k += columns
    places = range(k) if in_order else reversed(range(k))
    return [(module + ".q_weight", "I32", [rows, out], None),
            (module + ".q_scale", "I32", [len(groups), out // 8], None),
            (module + ".q_scale_max", "F16", [len(groups)], None),
            (module + ".q_groups", "I16", [len(pairs)], struct.pack(f"<{len(pairs)}h", *pairs)),
            (module + ".q_invperm", place, [k],
             struct.pack(f"<{k}{'i' if place == 'I32' else 'h'}", *places))]


def four_bits(module, kind, k, out, nested):
    """A weight of bitsandbytes."""
    blocks = (k * out + 63) // 64
    state = {"quant_type": kind, "blocksize": 64, "shape": [out, k]}
    name = module + ".weight"
    tensors = [(name, "U8", [k * out // 2, 1], None),
               (name + ".absmax", "U8" if nested else "F32", [blocks], None),
               (name + ".quant_map", "F32", [16], bytes(64))]
    if nested:
        state.update(nested_blocksize=256, nested_offset=0.1)
        tensors += [(name + ".nested_absmax", "F32", [(blocks + 255) // 256], None),
                    (name + ".nested_quant_map", "F32", [256],
                     struct.pack("<256f", *range(256)))]
    text = json.dumps(state, separators=(",", ":")).encode()
    return tensors + [(f"{name}.quant_state.bitsandbytes__{kind}", "U8", [len(text)], text)]


def mixed_seeds():
    """Folders whose modules have parameters of their own, and other packings."""
    def quantized(tensors, name, **more):
        return folder(f0={"quantization_config": {"quant_method": name, **more}},
                      f1=safetensors(tensors))
    awq = {"bits": 4, "group_size": 32}
    yield "awq-gemv", quantized([
        ("m.qweight", "I32", [2, 4], None), ("m.qzeros", "I32", [2, 4], None),
        ("m.scales", "F16", [2, 32], None)], "awq", version="GEMV", **awq)
    yield "awq-gemv-fast", quantized([
        ("m.qweight", "I16", [1, 64], None), ("m.scaled_zeros", "F16", [32, 4], None),
        ("m.scales", "F16", [32, 4], None)], "awq", version="gemv_fast", **awq)
    two = gptq("a.b", 32, 8) + gptq("b.c", 32, 4, bits=8, word=0x7f7f7f7f)
    yield "gptq-dynamic", quantized(two, "gptq", bits=4, group_size=32, sym=True, dynamic={
        "-:.*\\.x(?!y)": {}, "+:b\\.[a-c]$": {"bits": 8}, "(a|b){1,3}": {"sym": False}})
    yield "auto-round", quantized(two, "auto-round", packing_format="auto_round:auto_gptq", bits=4,
                                  group_size=32, sym=True, data_type="int", extra_config={
                                      "b.c": {"bits": 8}, "x": {"bits": 16}, "^a": {"group_size": -1}})
    yield "auto-round-awq", quantized([
        ("m.qweight", "I32", [32, 1], None), ("m.qzeros", "I32", [1, 1], None),
        ("m.scales", "F16", [1, 8], None)], "auto-round", packing_format="auto_round:auto_awq", **awq)
    order = b"".join(struct.pack("<I", i % 2) for i in range(64))
    packed = [("m.weight_packed", "I32", [8, 8], None), ("m.weight_scale", "BF16", [8, 2], None),
              ("m.weight_zero_point", "I32", [1, 2], None), ("m.weight_g_idx", "I32", [64], order),
              ("m.weight_shape", "I64", [2], struct.pack("<QQ", 8, 64))]
    ints = {"num_bits": 4, "symmetric": False, "strategy": "group", "group_size": 32,
            "actorder": "group"}
    yield "ct-order", quantized(packed, "compressed-tensors", format="pack-quantized",
                                config_groups={"g": {"targets": ["Linear"], "weights": ints}})
    fp4 = {"num_bits": 4, "type": "float"}
    yield "ct-groups", quantized(packed + [
        ("i.weight", "I8", [1, 32], None), ("i.weight_scale", "F32", [1, 1], None),
        ("x.weight_packed", "U8", [1, 16], None), ("x.weight_scale", "U8", [1, 1], None),
        ("n.weight_packed", "U8", [1, 8], None), ("n.weight_scale", "F8_E4M3", [1, 1], None),
        ("n.weight_global_scale", "F32", [1], b"\0\0\x80\x3f")], "compressed-tensors",
        format="mixed-precision", config_groups={
            "a": {"targets": ["Linear"], "format": "pack-quantized", "weights": ints},
            "b": {"targets": ["re:i"], "format": "int-quantized",
                  "weights": {"num_bits": 8, "strategy": "channel"}},
            "c": {"targets": ["x"], "format": "mxfp4-pack-quantized", "weights": fp4},
            "d": {"targets": ["n"], "format": "nvfp4-pack-quantized", "weights": fp4}})
    yield "modelopt", quantized([
        ("m.weight", "U8", [1, 8], None), ("m.weight_scale", "F8_E4M3", [1, 1], None),
        ("m.weight_scale_2", "F32", [], b"\0\0\x80\x3f"), ("v_proj.v_scale", "F32", [], None)],
        "modelopt", quant_algo="NVFP4")
    yield "modelopt-fp8", folder(
        f0={}, f11={"quantization": {"quant_algo": "FP8"}}, f1=safetensors([
            ("m.weight", "F8_E4M3", [2, 8], None), ("m.weight_scale", "F32", [], None)]))


def folder(**files):
    """Content by the index of the name."""
    out = b""
    for key, content in files.items():
        if not isinstance(content, bytes):
            content = json.dumps(content, separators=(",", ":")).encode()
        out += bytes([int(key[1:])]) + struct.pack("<H", len(content)) + content
    return out


def seeds():
    plain = [("a", "F32", [2, 3], None), ("b", "BF16", [4], None), ("c", "F16", [], None)]
    config = {"model_type": "llama", "hidden_size": 64, "rope_parameters": {"rope_theta": 1e4},
              "list": [1, -2], "mixed": [1, "x", None, {"y": [True]}], "eps": 1e-5}

    def quantized(**more):
        return {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32,
                                        "sym": True, **more}}
    yield "plain", folder(f0=config, f1=safetensors(plain), f3={"eos_token_id": [1, 2]})
    yield "rest", folder(f0=config) + b"\xff" + safetensors(plain)
    yield "gptq", folder(f0=quantized(), f1=safetensors(gptq("m", 64, 8) + plain))
    yield "gptq-v2", folder(f0=quantized(checkpoint_format="gptq_v2"),
                            f1=safetensors(gptq("m", 32, 8, word=0x88888888, g_idx=False)))
    yield "gptq-bits2", folder(f0=quantized(bits=2, group_size=-1), f1=safetensors(
        gptq("m", 32, 16, bits=2, word=0x55555555, bias=True)))
    yield "gptq-bits8", folder(f0=quantized(bits=8), f1=safetensors(
        gptq("m", 32, 4, bits=8, word=0x7f7f7f7f)))
    yield "gptq-side", folder(f0={}, f2={"bits": 4, "group_size": 32, "desc_act": True},
                              f1=safetensors(gptq("m", 32, 8)))
    yield "both-configs", folder(f0=quantized(), f2={"bits": 4, "damp_percent": 0.1, "dynamic": {}},
                                 f1=safetensors(gptq("m", 32, 8)))
    yield "shards", folder(f0=config, f4={"weight_map": {"a": NAMES[5], "d": NAMES[6]}},
                           f5=safetensors(plain), f6=safetensors([("d", "I64", [2], None)]))

    def method(name, **more):
        return {"quantization_config": {"quant_method": name, **more}}
    yield "nf4", folder(f0=method("bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4"),
                        f1=safetensors(four_bits("m", "nf4", 96, 2, False)))
    yield "fp4-nested", folder(f0=method("bitsandbytes", load_in_4bit=True),
                               f1=safetensors(four_bits("m", "fp4", 64, 2, True) + plain))
    yield "nf4-nested", folder(f0=method("bitsandbytes", load_in_4bit=True),
                               f1=safetensors(four_bits("m", "nf4", 128, 2, True)))
    yield "nf4-split", folder(f0=method("bitsandbytes", load_in_4bit=True),
                              f1=safetensors(four_bits("m", "nf4", 192, 88, True)))
    for bits, lines, packing in ((4, 4, b"4bit_u8"), (3, 1, b"3bit_32"), (8, 8, b"8bit_u8")):
        yield f"hqq{bits}", folder(f0=method("hqq"), f1=safetensors([
            ("m.W_q", "I32" if bits == 3 else "U8", [lines, 16], None),
            ("m.scale", "F16", [8, 1], None), ("m.zero", "F16", [8, 1], None),
            ("m.shape", "I64", [2], struct.pack("<qq", 4, 32)),
            ("m.group_size", "I32", [], struct.pack("<i", 16)),
            ("m.axis", "I32", [], struct.pack("<i", 1)),
            ("m.packing", "U8", [7], packing), ("m.view_as_float", "U8", [], b"\0")]))
    yield "mxfp4", folder(f0=method("mxfp4"), f1=safetensors([
        ("m.gate_up_proj_blocks", "U8", [2, 2, 1, 16], None), ("m.gate_up_proj_scales", "U8", [2, 2, 1], None),
        ("m.gate_up_proj_bias", "BF16", [2, 2], None)]))
    yield "exl2", folder(f0=method("exl2"), f1=safetensors(
        exl2("m", 32, [(5, 32), (4, 32), (4, 32)]) + plain))
    yield "exl2-short", folder(f0={}, f1=safetensors(
        exl2("m", 32, [(2, 64)], in_order=True, place="I16")))
    yield "int8", folder(f0=method("bitsandbytes", load_in_8bit=True), f1=safetensors([
        ("m.weight", "I8", [2, 40], None), ("m.SCB", "F32", [2], None),
        ("m.weight_format", "U8", [], b"\0")]))
    yield "fp8", folder(f0=method("fp8", weight_block_size=[2, 16]), f1=safetensors([
        ("m.weight", "F8_E4M3", [3, 40], None), ("m.weight_scale_inv", "F32", [2, 3], None),
        ("m.activation_scale", "F32", [], None)]))
    yield "fp8-tensor", folder(f0=method("fp8"), f1=safetensors([
        ("m.weight", "F8_E5M2", [3, 40], None), ("m.weight_scale_inv", "BF16", [1], None)]))
    for name, scale, scheme in (("channel", [3, 1], {"strategy": "channel"}),
                                ("group", [3, 2], {"strategy": "group", "group_size": 16}),
                                ("block", [2, 2], {"strategy": "block",
                                                   "block_structure": [2, 16]})):
        yield "ct-fp8-" + name, folder(f0=method(
            "compressed-tensors", format="float-quantized", config_groups={"g": {"weights": {
                "num_bits": 8, "type": "float", **scheme}}}), f1=safetensors([
                    ("m.weight", "F8_E4M3", [3, 32], None),
                    ("m.weight_scale", "F32", scale, None)]))

    def tokenizer(*steps, **more):
        return {"added_tokens": [{"id": 3, "content": "<b>", "special": True},
                                 {"id": 5, "content": "<e>"}],
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)},
                "post_processor": {"type": "TemplateProcessing", "single": [
                    {"SpecialToken": {"id": "<b>"}}, {"Sequence": {"id": "A"}}]},
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
                          "merges": [["a", "b"], "a b"], **more}}
    bytes_ = {"type": "ByteLevel"}
    yield "tokenizer", folder(f0={"vocab_size": 8, "eos_token_id": 1}, f1=safetensors(plain),
                              f8=tokenizer(bytes_), f10=b"{{ messages }}",
                              f9={"bos_token": "<b>", "eos_token": {"content": "<e>"}})
    yield "tokenizer-digits", folder(f0={"bos_token_id": 3}, f1=safetensors(plain), f8=tokenizer(
        {"type": "Digits", "individual_digits": True}, bytes_))
    yield "tokenizer-split", folder(f0={}, f1=safetensors(plain), f8=tokenizer(
        {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated"},
        {"type": "ByteLevel", "use_regex": False}, ignore_merges=True))
    yield "other-method", folder(f0={"quantization_config": {"quant_method": "awq"}},
                                 f1=safetensors(plain))
    yield "other-type", folder(f0=config, f1=safetensors([("a", "F8_E4M3", [3], None)]))
    yield "torch", folder(f0=config, f7=b"PK")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz-corpus", metavar="FOLDER", required=True)
    path = pathlib.Path(parser.parse_args().fuzz_corpus)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in (*seeds(), *mixed_seeds()):
        (path / name).write_bytes(content)


if __name__ == "__main__":
    main()
