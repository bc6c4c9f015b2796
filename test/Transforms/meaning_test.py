# meaning_test.py - Stages 2 to 4 keep what a model computes.
# SPDX-License-Identifier: Apache-2.0
"""Makes small models in the plain form, runs them, their fused form and their
planned form (with every value in the arena), and compares the logits."""
import re
import subprocess
import sys

import numpy as np

from interpreter import Machine, Module

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB, ROWS = 64, 4, 2, 32, 96, 80, 24
ENCODINGS = {
    "q4": "bits = 4, zero = 8, group = 32, scale = f16",
    "q8": "bits = 8, zero = 128, group = 32, scale = f16",
    "g16": "bits = 6, zero = 32, group = 16, scale = f16",
    "f16": "f16",
    "f32": "f32",
}


class Builder:
    """Text of a model in the form that import makes."""

    def __init__(self, model):
        self.model, self.declarations, self.lines, self.count = model, [], [], 0

    def value(self, text):
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def weight(self, name, shape, encoding):
        dims = "x".join(map(str, shape))
        if not any(f'@"{name}"' in line for line in self.declarations):
            self.declarations.append(f'qz.weight @"{name}" : !qz.tensor<{dims}, #{encoding}>')
        w = self.value(f'qz.use @"{name}" : !qz.tensor<{dims}, #{encoding}>')
        return self.value(f"qz.dequantize {w} : !qz.tensor<{dims}, #{encoding}> -> tensor<{dims}xf32>")

    def permute(self, x, columns, name):
        """Rows in the order of a weight whose groups were formed by importance."""
        if not self.model.get("act_order"):
            return x
        kind = f"!qz.tensor<{columns}, #f32>"
        if not any(f'@"{name}"' in line for line in self.declarations):
            self.declarations.append(f'qz.weight @"{name}" : {kind}')
        order = self.value(f'qz.use @"{name}" : {kind}')
        return self.value(f"qz.permute {x} by {order} : tensor<?x{columns}xf32>, {kind}")

    def linear(self, x, columns, name, rows, encoding="q4"):
        w = self.weight(name, (rows, columns), encoding)
        bias = kind = ""
        if name.split(".")[-1] in self.model.get("biases", ()):
            bias = " bias " + self.weight(name + ".bias", (rows,), "f16")
            kind = f" bias tensor<{rows}xf32>"
        return self.value(f"llm.linear {x}, {w}{bias} : tensor<?x{columns}xf32>, "
                          f"tensor<{rows}x{columns}xf32>{kind} -> tensor<?x{rows}xf32>")

    def expert_linear(self, x, columns, name, rows, inner, routing, encoding="q4"):
        experts, used = self.model["experts"]
        w = self.weight(name, (experts, rows, inner), encoding)
        bias = kind = ""
        if name.split(".")[-1] in self.model.get("biases", ()):
            bias = " bias " + self.weight(name + ".bias", (experts, rows), "f16")
            kind = f" bias tensor<{experts}x{rows}xf32>"
        return self.value(f"llm.expert_linear {x}, {w} experts {routing}{bias} : tensor<?x{columns}xf32>, "
                          f"tensor<{experts}x{rows}x{inner}xf32> experts tensor<?x{2 * used}xf32>{kind} "
                          f"-> tensor<?x{used * rows}xf32>")

    def experts(self, h, p, kind):
        """A mixture, with an expert that every row has if the model is so."""
        model, (experts, used) = self.model, self.model["experts"]
        logits = self.linear(h, HIDDEN, p + "router", experts, "f32")
        shared = kinds = ""
        if model.get("latents"):
            d = self.linear(h, HIDDEN, p + "shared", HIDDEN)
            shared, kinds = f" shared {d}", f" shared tensor<?x{HIDDEN}xf32>"
        if model.get("shared"):
            gate = self.linear(h, HIDDEN, p + "shared_router", 1, "f32")
            g, u = (self.linear(h, HIDDEN, p + "shared_" + x, FFN) for x in ("gate", "up"))
            d = self.linear(self.glu(g, u, FFN), FFN, p + "shared_down", HIDDEN)
            shared = f" shared {d} gate {gate}"
            kinds = f" shared tensor<?x{HIDDEN}xf32> gate tensor<?x1xf32>"
        normalize = "" if model.get("shared") else ", normalize"
        bias = bias_kind = ""
        if model.get("groups"):
            bias = " bias " + self.weight(p + "router.bias", (experts,), "f32")
            bias_kind = f" bias tensor<{experts}xf32>"
            normalize += f", sigmoid, scale = 2.5 : f32, groups = {model['groups']} : i64, top_groups = 2 : i64"
        routing = self.value(f"llm.route {logits}{bias} {{top_k = {used} : i64{normalize}}} : "
                             f"tensor<?x{experts}xf32>{bias_kind} -> tensor<?x{2 * used}xf32>")
        g, u = (self.expert_linear(h, HIDDEN, p + x, FFN, HIDDEN, routing) for x in ("gate", "up"))
        f = self.glu(g, u, used * FFN)
        f = self.expert_linear(f, used * FFN, p + "down", HIDDEN, FFN, routing, kind.get("down", "q4"))
        return self.value(f"llm.combine {f}, {routing}{shared} : tensor<?x{used * HIDDEN}xf32>, "
                          f"tensor<?x{2 * used}xf32>{kinds} -> tensor<?x{HIDDEN}xf32>")

    def glu(self, gate, up, columns):
        return self.value(f"llm.glu {gate}, {up} {{activation = #llm.activation<"
                          f"{self.model.get('activation', 'silu')}>}} : tensor<?x{columns}xf32>")

    def norm(self, x, columns, name, size):
        w = self.weight(name, (size,), "f32")
        if self.model.get("layer_norm"):
            bias = self.weight(name + ".bias", (size,), "f32")
            return self.value(f"llm.layer_norm {x}, {w} bias {bias} {{eps = 1.0e-5 : f32}} : tensor<?x{columns}xf32>, "
                              f"tensor<{size}xf32> bias tensor<{size}xf32>")
        return self.value(f"llm.rms_norm {x}, {w} {{eps = 1.0e-5 : f32}} : "
                          f"tensor<?x{columns}xf32>, tensor<{size}xf32>")

    def centered(self, x, heads, name):
        w = self.weight(name, (heads, HEAD_DIM), "f32")
        return self.value(f"llm.layer_norm {x}, {w} {{eps = 1.0e-5 : f32}} : "
                          f"tensor<?x{heads * HEAD_DIM}xf32>, tensor<{heads}x{HEAD_DIM}xf32>")

    def rope(self, x, columns, base):
        frequencies = ", ".join(f"{base ** (-i / 8):.6e}" for i in range(8))
        adjacent = "adjacent, " if self.model.get("adjacent") else ""
        return self.value(f"llm.rope {x}, %batch {{{adjacent}head_dim = {HEAD_DIM} : i64, factor = 1.25 : f32, "
                          f"frequencies = array<f32: {frequencies}>}} : tensor<?x{columns}xf32>")

    def add(self, a, b):
        if self.model.get("sum_on_the_right"):
            a, b = b, a
        return self.value(f"llm.add {a}, {b} : tensor<?x{HIDDEN}xf32>")

    def head_linear(self, x, name, heads, rows, inner):
        w = self.weight(name, (heads, rows, inner), "q8")
        routing = self.value(f"llm.route_all %batch : tensor<?x{2 * heads}xf32>")
        return self.value(f"llm.expert_linear {x}, {w} experts {routing} : tensor<?x{heads * inner}xf32>, "
                          f"tensor<{heads}x{rows}x{inner}xf32> experts tensor<?x{2 * heads}xf32> "
                          f"-> tensor<?x{heads * rows}xf32>")

    def latent_attention(self, h, number):
        """Of 3 heads, of which 16 elements turn and 32 do not; latents of 64."""
        p, heads, turned, plain, rank, value = f"blk.{number}.", 3, 16, 32, 64, 32
        width, kind = turned + rank, f"!llm.state<1, {turned + rank}, {rank}>"
        self.declarations.append(f"llm.kv_state @kv.{number} : {kind}")
        frequencies = ", ".join(f"{10 ** (-i / 8):.6e}" for i in range(turned // 2))

        def rope(a, b, heads):
            x = self.value(f"llm.concat_heads {a}, {b} {{heads = {heads} : i64}} : tensor<?x{heads * turned}xf32>, "
                           f"tensor<?x{heads * rank}xf32> -> tensor<?x{heads * width}xf32>")
            return self.value(f"llm.rope {x}, %batch {{adjacent, head_dim = {width} : i64, "
                              f"frequencies = array<f32: {frequencies}>}} : tensor<?x{heads * width}xf32>")
        q = self.head_linear(self.linear(h, HIDDEN, p + "q_nope", heads * plain), p + "k_b", heads, rank, plain)
        q = rope(self.linear(h, HIDDEN, p + "q_rope", heads * turned), q, heads)
        latent = self.norm(self.linear(h, HIDDEN, p + "kv_a", rank), rank, p + "kv_norm", rank)
        k = rope(self.linear(h, HIDDEN, p + "k_rope", turned), latent, 1)
        s = self.value(f"llm.state @kv.{number} : {kind}")
        a = self.value(f"llm.attention {q}, {k}, {latent}, %batch, {s} {{scale = 0.1 : f32}} : "
                       f"tensor<?x{heads * width}xf32>, tensor<?x{width}xf32>, <1, {width}, {rank}>")
        a = self.head_linear(a, p + "v_b", heads, value, rank)
        return self.linear(a, heads * value, p + "o", HIDDEN)

    def layer(self, number, kind):
        model, p = self.model, f"blk.{number}."
        if model.get("latents"):
            h = self.norm("%x", HIDDEN, p + "attn_norm", HIDDEN)
            return self.second_half(self.latent_attention(h, number), p, kind)
        q_size, kv_size = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
        window = kind.get("window", 0)
        self.declarations.append(f"llm.kv_state @kv.{number} : !llm.state<{KV_HEADS}, {HEAD_DIM}> "
                                 f"{{window = {window} : i64}}")
        h = self.permute(self.norm("%x", HIDDEN, p + "attn_norm", HIDDEN), HIDDEN, p + "qkv.order")
        q = self.linear(h, HIDDEN, p + "q", q_size)
        k = self.linear(h, HIDDEN, p + "k", kv_size)
        v = self.linear(h, HIDDEN, p + "v", kv_size, kind.get("v", "q4"))
        if model.get("head_norm"):
            q = self.norm(q, q_size, p + "q_norm", HEAD_DIM)
            k = self.norm(k, kv_size, p + "k_norm", HEAD_DIM)
        if model.get("centered_heads"):
            q = self.centered(q, HEADS, p + "q_norm")
            k = self.centered(k, KV_HEADS, p + "k_norm")
        base = 100.0 if window else 1000.0
        q, k = self.rope(q, q_size, base), self.rope(k, kv_size, base)
        s = self.value(f"llm.state @kv.{number} : !llm.state<{KV_HEADS}, {HEAD_DIM}>")
        sinks = kinds = ""
        if model.get("sinks"):
            sinks, kinds = " sinks " + self.weight(p + "sinks", (HEADS,), "f32"), f" sinks tensor<{HEADS}xf32>"
        a = self.value(f"llm.attention {q}, {k}, {v}, %batch, {s}{sinks} {{scale = 0.2 : f32, "
                       f"window = {window} : i64, softcap = {model.get('caps', 0.0)} : f32}} : "
                       f"tensor<?x{q_size}xf32>, tensor<?x{kv_size}xf32>, "
                       f"<{KV_HEADS}, {HEAD_DIM}>{kinds}")
        a = self.linear(self.permute(a, q_size, p + "o.order"), q_size, p + "o", HIDDEN)
        if model.get("post_norm"):
            a = self.norm(a, HIDDEN, p + "post_attn", HIDDEN)
        return self.second_half(a, p, kind)

    def second_half(self, a, p, kind):
        model, middle = self.model, self.add("%x", a)
        # In a parallel block both parts read the layer's input, perhaps normed once.
        name = p + ("attn_norm" if model.get("parallel") == "one norm" else "ffn_norm")
        h = self.norm("%x" if model.get("parallel") else middle, HIDDEN, name, HIDDEN)
        if model.get("experts"):
            return self.add(middle, self.experts(h, p, kind))
        h = self.permute(h, HIDDEN, p + "gate_up.order")
        activation = f"{{activation = #llm.activation<{model.get('activation', 'silu')}>}} : tensor<?x{FFN}xf32>"
        if model.get("ungated"):
            f = self.value(f"llm.activate {self.linear(h, HIDDEN, p + 'up', FFN)} {activation}")
        else:
            g = self.linear(h, HIDDEN, p + "gate", FFN)
            u = self.linear(h, HIDDEN, p + "up", FFN, kind.get("up", "q4"))
            f = self.glu(g, u, FFN)
        f = self.permute(f, FFN, p + "down.order")
        f = self.linear(f, FFN, p + "down", HIDDEN, kind.get("down", "q4"))
        if model.get("post_norm"):
            f = self.norm(f, HIDDEN, p + "post_ffn", HIDDEN)
        return self.add(middle, f)

    def build(self):
        rows, functions = f"tensor<?x{HIDDEN}xf32>", []
        for number, kind in enumerate(self.model["layers"]):
            self.lines = []
            result = self.layer(number, kind)
            functions += [f"func.func private @layer.{number}(%x: {rows}, %batch: !llm.batch) -> {rows} {{",
                          *self.lines, f"  return {result} : {rows}", "}"]
        self.lines = []
        table = self.weight("table", (VOCAB, HIDDEN), "q8")
        positions = kind = ""
        if self.model.get("positions"):
            positions = " positions " + self.weight("positions", (ROWS, HIDDEN), "f16")
            kind = f" positions tensor<{ROWS}x{HIDDEN}xf32>"
        x = self.value(f"llm.embedding %batch, {table}{positions} {{scale = 3.0 : f32}} : "
                       f"tensor<{VOCAB}x{HIDDEN}xf32>{kind} -> {rows}")
        for number in range(len(self.model["layers"])):
            x = self.value(f"func.call @layer.{number}({x}, %batch) : ({rows}, !llm.batch) -> {rows}")
        x = self.value(f"llm.select_outputs {x}, %batch : {rows}")
        x = self.norm(x, HIDDEN, "output_norm", HIDDEN)
        logits = self.linear(x, HIDDEN, "table", VOCAB, "q8")
        if "caps" in self.model:
            logits = self.value(f"llm.scale_logits {logits} {{scale = 0.25 : f32, "
                                f"softcap = {self.model['caps']} : f32}} : tensor<?x{VOCAB}xf32>")
        functions += [f"func.func @step(%batch: !llm.batch) -> tensor<?x{VOCAB}xf32> {{",
                      *self.lines, f"  return {logits} : tensor<?x{VOCAB}xf32>", "}"]
        header = [f"#{name} = #qz.encoding<{text}>" for name, text in ENCODINGS.items()]
        return "\n".join(header + self.declarations + functions) + "\n"


def opt(text, *passes):
    command = ["qcc-opt", "-", "--mlir-print-op-generic", *passes]
    return subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.PIPE).stdout


def random_weights(module):
    random = np.random.default_rng(1)
    return {name: random.permutation(shape[0]).astype(float) if name.endswith(".order") else
            random.normal(1.0 if len(shape) == 1 else 0.0, 0.3, shape)
            for name, shape in module.weights.items()}


def stored(weights, module):
    """Weights as they are stored: some have their rows in another order."""
    return {name: value[weights[module.row_order[name]].astype(int)] if name in module.row_order
            else value for name, value in weights.items()}


# Two sequences in one step; some rows want logits.
BATCH = {
    "token": np.arange(ROWS) * 7 % VOCAB,
    "sequence": np.array([0] * 14 + [1] * 10),
    "position": np.array([*range(14), *range(10)]),
    "output": np.array([3, 13, 20, 23]),
}
PLAIN = [{}, {}, {}]
SLIDING = [{"window": 5, "v": "q8", "down": "g16"}, {"window": 5}, {}, {"window": 5}, {"v": "f16", "up": "q8"},
           {"window": 5, "v": "q8", "down": "g16"}]
MODELS = {
    "llama": {"layers": PLAIN, "adjacent": True, "bodies": 1},
    "sums with the residual on the right": {"layers": PLAIN, "sum_on_the_right": True, "bodies": 1},
    "gemma": {"layers": SLIDING, "head_norm": True, "post_norm": True, "activation": "gelu_tanh", "bodies": 4},
    "gemma with caps": {"layers": SLIDING, "post_norm": True, "activation": "gelu_tanh", "caps": 1.5, "bodies": 4},
    "kinds in another order": {"layers": SLIDING[::-1], "bodies": 4},
    "parallel": {"layers": PLAIN, "parallel": "two norms", "centered_heads": True, "bodies": 1},
    "parallel, one norm": {"layers": PLAIN, "parallel": "one norm", "layer_norm": True, "ungated": True,
                           "activation": "gelu_erf", "bodies": 1},
    "layer norms and positions": {"layers": SLIDING, "layer_norm": True, "ungated": True, "positions": True,
                                  "activation": "gelu_tanh", "biases": ("q", "v", "o", "up", "down"), "bodies": 4},
    "relu of groups by importance": {"layers": PLAIN, "ungated": True, "activation": "relu", "act_order": True,
                                     "bodies": 1},
    "groups by importance": {"layers": PLAIN, "act_order": True, "bodies": 1},
    "biases": {"layers": PLAIN, "biases": ("q", "k", "v", "o", "gate", "up", "down"), "bodies": 1},
    "biases of some segments": {"layers": SLIDING, "biases": ("k", "v", "up", "table"), "head_norm": True,
                                "bodies": 4},
    "biases and groups by importance": {"layers": PLAIN, "act_order": True, "bodies": 1,
                                        "biases": ("q", "v", "gate", "up", "down")},
    "experts": {"layers": PLAIN, "experts": (5, 2), "sum_on_the_right": True, "bodies": 1},
    "experts, one of them shared": {"layers": SLIDING, "experts": (4, 3), "shared": True, "bodies": 4},
    "experts with biases, and sinks": {"layers": PLAIN, "experts": (6, 1), "sinks": True, "bodies": 1,
                                       "activation": "clamped_swiglu",
                                       "biases": ("q", "router", "gate", "up", "down")},
    "latents": {"layers": PLAIN, "latents": True, "bodies": 1},
    "latents, and groups of experts": {"layers": PLAIN, "latents": True, "experts": (12, 3), "groups": 3, "bodies": 1},
    "64 layers": {"layers": [{}] * 64, "bodies": 1},
}
SCHEDULES = ["generate=a16 prompt=a8", "generate=a8g16 prompt=a8g16", "generate=f32 prompt=f32 felt=f32"]


def main():
    failures = 0
    for name, model in MODELS.items():
        plain_text = Builder(model).build()
        fused_text = opt(plain_text, "--qcc-fuse")
        plain, fused = Module(opt(plain_text)), Module(fused_text)
        weights = random_weights(plain)
        expected = Machine(plain, weights, BATCH).run()
        ordered = (1 if model.get("ungated") else 2) + len({"gate", "up"}.intersection(model.get("biases", ())))
        assert len(fused.row_order) == (ordered * len(model["layers"]) if model.get("act_order") else 0)
        weights = stored(weights, fused)
        got = Machine(fused, weights, BATCH).run()
        error = np.abs(got - expected).max() / np.abs(expected).max()
        bodies = len(fused.functions) - 1
        errors = [error]
        for schedule in SCHEDULES:
            text = opt(fused_text, f"--qcc-select-activations={schedule}", "--qcc-plan-schedule",
                       f"--qcc-plan-memory=row-capacity={ROWS} generate-rows=4")
            arena = int(re.search(r"llm.arena_bytes = (\d+)", text).group(1))
            planned = Machine(Module(text), weights, BATCH, arena, ROWS).run()
            errors.append(np.abs(planned - expected).max() / np.abs(expected).max())
        bad = bool(bodies != model["bodies"] or not max(errors) < 1e-9 or expected.std() < 0.01)
        failures += bad
        print(f"{name}: {bodies} bodies (expected {model['bodies']}), largest relative errors "
              f"{', '.join(f'{e:.1e}' for e in errors)}{'  FAILED' if bad else ''}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
