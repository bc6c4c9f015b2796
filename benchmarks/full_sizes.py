#!/usr/bin/env python3
# full_sizes.py - Checkpoints of full size, without their numbers.
# SPDX-License-Identifier: Apache-2.0
#
#   full_sizes.py --qcc build/bin/qcc --dir /big/disk [NAME...]
#
# Makes for each name (default: all of MODELS) a folder of that model's shapes whose
# weights are zeros in a sparse file, compiles it, lets the result take one step, and
# prints how much anonymous memory each needed at most. The artefact is as large as the
# real one would be; it is deleted before the next. Not run by CI.
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SIZES = {"I32": 4, "F16": 2, "BF16": 2, "U8": 1}


class Folder:
    """Tensors of a folder, as names and shapes."""

    def __init__(self, config):
        self.config, self.entries, self.end = config, {}, 0
        self.filled = []

    def tensor(self, name, dtype, *shape, byte=0):
        """`byte` is what each of its bytes is."""
        size = SIZES[dtype]
        for n in shape:
            size *= n
        self.entries[name] = {"dtype": dtype, "shape": shape,
                              "data_offsets": [self.end, self.end + size]}
        if byte:
            self.filled.append((self.end, size, byte))
        self.end += size

    def norm(self, name, size):
        self.tensor(name + ".weight", "BF16", size)

    def float(self, name, out, inner):
        self.tensor(name + ".weight", "BF16", out, inner)

    def gptq(self, name, out, inner):
        """4 bits in symmetric groups of 128."""
        self.tensor(name + ".qweight", "I32", inner // 8, out)
        self.tensor(name + ".qzeros", "I32", inner // 128, out // 8, byte=0x77)
        self.tensor(name + ".scales", "F16", inner // 128, out)

    def mxfp4(self, name, experts, out, inner):
        self.tensor(name + "_blocks", "U8", experts, out, inner // 32, 16)
        self.tensor(name + "_scales", "U8", experts, out, inner // 32)
        self.tensor(name + "_bias", "BF16", experts, out)

    def write(self, path):
        path.mkdir()
        (path / "config.json").write_text(json.dumps(self.config))
        header = json.dumps(self.entries).encode()
        header += b" " * (-len(header) % 8)
        with open(path / "model.safetensors", "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + self.end)
            for start, size, byte in self.filled:
                file.seek(8 + len(header) + start)
                file.write(bytes([byte]) * size)


def config(kind, layers, hidden, ffn, heads, kv, head_dim, vocab, **more):
    return dict(model_type=kind, num_hidden_layers=layers, hidden_size=hidden,
                intermediate_size=ffn, num_attention_heads=heads, num_key_value_heads=kv,
                head_dim=head_dim, vocab_size=vocab, max_position_embeddings=8192,
                rms_norm_eps=1e-6, tie_word_embeddings=False, **more)


def gptq_config():
    return dict(quantization_config=dict(quant_method="gptq", bits=4, group_size=128, sym=True,
                                         desc_act=False))


def build(c, linear, head_norm=False, post_norm=False, bias=False, ffn=None, head=Folder.float):
    """A decoder; `ffn` adds the tensors of a layer's second half, `head` those of the head."""
    f = Folder(c)
    hidden, width = c["hidden_size"], c["num_attention_heads"] * c["head_dim"]
    kv = c["num_key_value_heads"] * c["head_dim"]
    f.float("model.embed_tokens", c["vocab_size"], hidden)
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        f.norm(p + "input_layernorm", hidden)
        f.norm(p + "post_attention_layernorm", hidden)
        for name, out, inner in (("q", width, hidden), ("k", kv, hidden), ("v", kv, hidden),
                                 ("o", hidden, width)):
            linear(f, p + f"self_attn.{name}_proj", out, inner)
            if bias:
                f.tensor(p + f"self_attn.{name}_proj.bias", "BF16", out)
        if head_norm:
            f.norm(p + "self_attn.q_norm", c["head_dim"])
            f.norm(p + "self_attn.k_norm", c["head_dim"])
        if post_norm:
            f.norm(p + "pre_feedforward_layernorm", hidden)
            f.norm(p + "post_feedforward_layernorm", hidden)
        if ffn:
            ffn(f, p)
            continue
        for name in ("gate", "up"):
            linear(f, p + f"mlp.{name}_proj", c["intermediate_size"], hidden)
        linear(f, p + "mlp.down_proj", hidden, c["intermediate_size"])
    f.norm("model.norm", hidden)
    if not c["tie_word_embeddings"]:
        head(f, "lm_head", c["vocab_size"], hidden)
    return f


def llama():
    """Llama 3.1 8B in GPTQ."""
    return build(config("llama", 32, 4096, 14336, 32, 8, 128, 128256, **gptq_config()), Folder.gptq)


def gemma():
    """Gemma 3 4B (text) in GPTQ."""
    c = config("gemma3_text", 34, 2560, 10240, 8, 4, 256, 262208, sliding_window=1024,
               query_pre_attn_scalar=256, sliding_window_pattern=6, **gptq_config())
    return build({**c, "tie_word_embeddings": True}, Folder.gptq, head_norm=True, post_norm=True)


def qwen():
    """Qwen3-30B-A3B in GPTQ, a tensor for each matrix of each expert."""
    c = config("qwen3_moe", 48, 2048, 6144, 32, 4, 128, 151936, num_experts=128,
               num_experts_per_tok=8, moe_intermediate_size=768, norm_topk_prob=True,
               **gptq_config())

    def ffn(f, p):
        f.float(p + "mlp.gate", 128, 2048)
        for expert in range(128):
            e = p + f"mlp.experts.{expert}."
            f.gptq(e + "gate_proj", 768, 2048)
            f.gptq(e + "up_proj", 768, 2048)
            f.gptq(e + "down_proj", 2048, 768)
    return build(c, Folder.gptq, head_norm=True, ffn=ffn)


def gpt_oss():
    """gpt-oss-20b, as published."""
    c = config("gpt_oss", 24, 2880, 2880, 64, 8, 64, 201088, num_local_experts=32,
               num_experts_per_tok=4, sliding_window=128, attention_bias=True,
               swiglu_limit=7.0, rope_theta=150000,
               rope_scaling=dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0,
                                 original_max_position_embeddings=4096, truncate=False),
               layer_types=["sliding_attention", "full_attention"] * 12,
               quantization_config=dict(quant_method="mxfp4"))

    def ffn(f, p):
        f.float(p + "mlp.router", 32, 2880)
        f.tensor(p + "mlp.router.bias", "BF16", 32)
        f.tensor(p + "self_attn.sinks", "BF16", 64)
        f.mxfp4(p + "mlp.experts.gate_up_proj", 32, 5760, 2880)
        f.mxfp4(p + "mlp.experts.down_proj", 32, 2880, 2880)
    return build(c, Folder.float, bias=True, ffn=ffn)


def deepseek():
    """DeepSeek-V2-Lite in GPTQ, but for the first layer's feed-forward part."""
    c = config("deepseek_v2", 27, 2048, 10944, 16, 16, 64, 102400, q_lora_rank=None,
               kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
               first_k_dense_replace=1, n_routed_experts=64, n_shared_experts=2,
               num_experts_per_tok=6, moe_intermediate_size=1408, norm_topk_prob=False,
               topk_method="greedy", routed_scaling_factor=1.0, rope_theta=10000,
               rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=0.707,
                                 mscale_all_dim=0.707, original_max_position_embeddings=4096),
               **gptq_config())
    f = Folder(c)
    hidden, heads = 2048, 16

    def gated(p, size, linear=f.gptq):
        for name in ("gate", "up"):
            linear(p + name + "_proj", size, hidden)
        linear(p + "down_proj", hidden, size)
    f.float("model.embed_tokens", 102400, hidden)
    for layer in range(27):
        p = f"model.layers.{layer}."
        f.norm(p + "input_layernorm", hidden)
        f.norm(p + "post_attention_layernorm", hidden)
        f.gptq(p + "self_attn.q_proj", heads * 192, hidden)
        f.gptq(p + "self_attn.kv_a_proj_with_mqa", 512 + 64, hidden)
        f.norm(p + "self_attn.kv_a_layernorm", 512)
        f.gptq(p + "self_attn.kv_b_proj", heads * 256, 512)
        f.gptq(p + "self_attn.o_proj", hidden, heads * 128)
        if layer == 0:
            gated(p + "mlp.", 10944, f.float)
            continue
        f.float(p + "mlp.gate", 64, hidden)
        gated(p + "mlp.shared_experts.", 2 * 1408)
        for expert in range(64):
            gated(p + f"mlp.experts.{expert}.", 1408)
    f.norm("model.norm", hidden)
    f.float("lm_head", 102400, hidden)
    return f


MODELS = {"llama-3.1-8b": llama, "gemma-3-4b": gemma, "qwen3-30b-a3b": qwen, "gpt-oss-20b": gpt_oss,
          "deepseek-v2-lite": deepseek}


def anonymous(pid):
    """RssAnon of a process and its children, in bytes; 0 when it has ended."""
    total = 0
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += anonymous(child)
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return total


def run(*command):
    """Returns seconds and the most anonymous memory; ends the program on an error."""
    start, peak = time.monotonic(), 0
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.02)
        error = process.stderr.read()
    if process.returncode:
        sys.exit(f"{command[0]} failed: {error}")
    return time.monotonic() - start, peak


def measure(name, qcc, place):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="full-size-", dir=place))
    try:
        MODELS[name]().write(folder / "model")
        seconds, peak = run(qcc, folder / "model", "-o", folder / "m.so")
        size = (folder / "m.so").stat().st_size
        print(f"{name}: {size / 1e9:.1f} GB, compiled in {seconds:.0f} s with at most "
              f"{peak / 1e6:.0f} MB of anonymous memory", flush=True)
        shutil.rmtree(folder / "model")
        seconds, peak = run(qcc, "run", folder / "m.so", "logits", "--ids", "1", "--ctx", "256",
                            "-o", folder / "l.npy")
        print(f"{name}: one step, {seconds:.1f} s with the start, at most {peak / 1e6:.0f} MB",
              flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--dir", help="where there is room; default: the system's temporary folder")
    parser.add_argument("names", nargs="*", choices=[[], *MODELS])
    options = parser.parse_args()
    for chosen in options.names or MODELS:
        measure(chosen, options.qcc, options.dir)
