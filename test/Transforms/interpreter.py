# interpreter.py - Runs modules of qz and llm operations in float64.
# SPDX-License-Identifier: Apache-2.0
"""An independent meaning of both dialects, written from their documentation.

Reads the generic form that qcc-opt prints. With an arena, rows live where the
`buffer` and `stride` attributes say (one float64 for each four bytes), so that
a plan that lets two values overlap gives other numbers, or fails.
"""
import math
import re

import numpy as np

OPERATION = re.compile(
    r'\s*(?:(%\w+) = )?"([\w.]+)"\(([^)]*)\)(?: <\{(.*?)\}>)?(?: \{(.*?)\})? : (.*)$')


class Op:
    def __init__(self, result, name, operands, attributes, types):
        self.result, self.name, self.operands = result, name, operands
        self.attributes, self.types = attributes, types

    def number(self, key, default=None):
        match = re.search(rf"(?<![\w.]){re.escape(key)} = ([-+.\w]+)", self.attributes)
        return default if match is None else float(match.group(1))

    def numbers(self, key, kind="f32"):
        match = re.search(rf"{key} = array<{kind}: ([^>]*)>", self.attributes)
        return np.array([float(x) for x in match.group(1).split(",")])

    def segments(self):
        """How many operands each of its lists has."""
        return self.numbers("operandSegmentSizes", "i32").astype(int)

    def symbol(self, key):
        return re.search(rf'{key} = @"?([^",>]+)"?', self.attributes).group(1)

    def has(self, key):
        return re.search(rf"(?<![\w.]){key}(?![\w.])", self.attributes) is not None


class Function:
    def __init__(self, name, header):
        self.name, self.ops, self.arguments = name, [], []
        attributes = re.search(r"arg_attrs = \[\{(.*?)\}", header)
        self.first_argument = Op(None, "", [], attributes.group(1) if attributes else "", "")


class Module:
    def __init__(self, text):
        self.functions, self.weights, self.row_order = {}, {}, {}
        function = None
        for line in text.splitlines():
            if '"qz.weight"' in line:
                shape = re.search(r"!qz.tensor<([\dx]+),", line).group(1)
                name = re.search(r'sym_name = "([^"]+)"', line).group(1)
                self.weights[name] = tuple(int(x) for x in shape.split("x"))
                if match := re.search(r'row_order = @"?([^",>]+)"?', line):
                    self.row_order[name] = match.group(1)
            elif '"func.func"' in line:
                name = re.search(r'sym_name = "([^"]+)"', line).group(1)
                function = self.functions[name] = Function(name, line)
            elif line.lstrip().startswith("^bb0"):
                function.arguments = re.findall(r"(%\w+):", line)
            elif function and (match := OPERATION.match(line)):
                result, name, operands, properties, attributes, types = match.groups()
                function.ops.append(Op(result, name, re.findall(r"%\w+", operands),
                                       f"{properties or ''}, {attributes or ''}", types))


class Place:
    """Rows or activations in the arena."""

    def __init__(self, offset, stride, shape, identity=None, size=0):
        self.offset, self.stride, self.shape = offset, stride, shape
        self.identity, self.size = identity, size

    def span(self):
        end = self.size if self.identity else self.shape[0] * self.stride
        return self.offset, self.offset + end


def norm(x, weight, eps):
    heads = x.reshape(len(x), -1, len(weight))
    mean = (heads ** 2).mean(axis=2, keepdims=True)
    return (heads / np.sqrt(mean + eps) * weight).reshape(x.shape)


def layer_norm(x, weight, eps, bias=0):
    """Of rows, or with a weight of two dimensions of each head."""
    heads = x.reshape(len(x), -1, weight.shape[-1])
    centered = heads - heads.mean(axis=2, keepdims=True)
    variance = (centered ** 2).mean(axis=2, keepdims=True)
    return (centered / np.sqrt(variance + eps) * weight + bias).reshape(x.shape)


def rotate(x, head_dim, cos, sin, adjacent):
    heads = x.reshape(len(x), -1, head_dim).copy()
    n = cos.shape[1]
    first = np.arange(n) * 2 if adjacent else np.arange(n)
    second = first + (1 if adjacent else n)
    a, b = heads[:, :, first].copy(), heads[:, :, second].copy()
    heads[:, :, first] = a * cos[:, None] - b * sin[:, None]
    heads[:, :, second] = a * sin[:, None] + b * cos[:, None]
    return heads.reshape(x.shape)


def activate(gate, name):
    if "gelu_tanh" in name:
        return 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate ** 3)))
    if "gelu_erf" in name:
        return 0.5 * gate * (1 + np.vectorize(math.erf)(gate / math.sqrt(2)))
    if "relu" in name:
        return np.maximum(gate, 0)
    return gate / (1 + np.exp(-gate))


def glu(gate, up, name):
    if "clamped_swiglu" in name:
        gate, up = np.minimum(gate, 7), np.clip(up, -7, 7)
        return gate / (1 + np.exp(-1.702 * gate)) * (up + 1)
    return activate(gate, name) * up


def numbers(routing):
    """Of the expert of each slot of each row."""
    return np.split(routing, 2, axis=1)[0].astype(int)


def slots_times(x, weight, experts):
    return np.einsum("rk,rnk->rn", x, weight[experts.ravel()])


def softcap(op, x):
    cap = op.number("softcap")
    return cap * np.tanh(x / cap) if cap else x


class Machine:
    """Runs @step once on `batch`, a dict of token, position, sequence, output."""

    def __init__(self, module, weights, batch, arena_bytes=0, capacity=0):
        self.module, self.weights, self.batch = module, weights, batch
        self.states, self.capacity = {}, capacity
        self.arena = np.full(arena_bytes // 4, np.nan) if arena_bytes else None
        self.activations, self.previous = {}, []

    def run(self):
        return self.call(self.module.functions["step"], [self.batch])

    # Memory ----------------------------------------------------------------

    def read(self, value):
        if not isinstance(value, Place):
            return value
        start, end = value.span()
        assert end <= 4 * len(self.arena), "a buffer ends behind the arena"
        if value.identity:
            assert (self.arena[start // 4:end // 4] == value.identity).all(), \
                "activations were overwritten"
            return self.activations[value.identity]
        rows = self.arena[start // 4:end // 4].reshape(value.shape[0], value.stride // 4)
        rows = rows[:, :value.shape[1]]
        assert not np.isnan(rows).any(), "rows were not written, or overwritten"
        return rows.copy()

    def write(self, op, result, in_place):
        """Puts a result where `op` says; a value elsewhere is returned itself."""
        offset = op.number("buffer")
        if self.arena is None or offset is None:
            return result
        offset = int(offset)
        if op.name == "qz.quantize":
            identity = len(self.activations) + 1000.5
            place = Place(offset, 0, result.shape, identity, self.activation_bytes(op, result))
            self.activations[identity] = result
            self.check_overlap(place, in_place)
            self.arena[offset // 4:(offset + place.size) // 4] = identity
            return place
        place = Place(offset, int(op.number("stride")), result.shape)
        assert place.stride % 64 == 0 and place.stride >= 4 * result.shape[1]
        self.check_overlap(place, in_place)
        start, end = place.span()
        rows = self.arena[start // 4:end // 4].reshape(result.shape[0], place.stride // 4)
        rows[:] = np.nan
        rows[:, :result.shape[1]] = result
        return place

    def check_overlap(self, place, in_place):
        """A stage must not write what the stage before it reads."""
        for other in self.previous:
            if other is not in_place and isinstance(other, Place):
                a, b = place.span(), other.span()
                assert a[1] <= b[0] or b[1] <= a[0], "a stage overwrites its predecessor's operand"

    def activation_bytes(self, op, result):
        """Bytes of a full buffer in the form that prompt steps use."""
        kind = re.search(r"prompt = #qz.activations<(\w+)>", op.attributes).group(1)
        sums = 32 // int(op.number("sum_group"))
        chunk = {"f32": 128, "bf16": 128, "a8": 32 + 4 + 8 * sums, "a8g16": 32 + 8 + 8 + 4 * sums,
                 "a16": 64 + 4 + 8 * sums}[kind]
        rows = len(result) // len(self.batch["token"]) if op.segments()[4] else 1
        return -(-result.shape[1] // 32) * chunk * self.capacity * rows

    # Functions -------------------------------------------------------------

    def call(self, function, arguments):
        values = dict(zip(function.arguments, arguments, strict=True))
        first = arguments[0]
        if isinstance(first, Place):
            assert first.offset == function.first_argument.number("llm.buffer")
            assert first.stride == function.first_argument.number("llm.stride")
        # A body starts when everything before it is done.
        self.previous = []
        for op in function.ops:
            operands = [values[x] for x in op.operands]
            if op.name == "func.return":
                return operands[0]
            if op.name == "func.call":
                values[op.result] = self.call(
                    self.module.functions[op.symbol("callee")], operands)
                continue
            result = getattr(self, op.name.replace(".", "_"))(op, *map(self.read, operands))
            if isinstance(result, np.ndarray) and op.name not in ("qz.use", "qz.dequantize"):
                in_place = operands[-1] if op.has("epilogue = #qz.epilogue<residual>") else \
                    operands[0] if op.name == "llm.add_norm" else \
                    operands[-1] if op.name == "llm.combine" and op.segments()[4] else None
                result = self.write(op, result, in_place)
                self.previous = operands
            values[op.result] = result
        raise AssertionError("no return")

    # Operations ------------------------------------------------------------

    def qz_use(self, op):
        return self.weights[op.symbol("weight")]

    def qz_dequantize(self, op, weight):
        return weight

    def qz_permute(self, op, x, order):
        return x[:, order.astype(int)]

    def qz_quantize(self, op, x, *rest):
        _, has_norm, has_bias, has_order, has_experts = op.segments()
        if has_norm:
            kind = layer_norm if op.has("centered") else norm
            x = kind(x, rest[0], op.number("eps"))
        if has_bias:
            x = x + rest[1]
        if has_order:
            x = x[:, rest[has_norm + has_bias].astype(int)]
        if has_experts:
            columns = int(re.search(r"-> !qz.activation<(\d+)", op.types).group(1))
            x = np.tile(x, rest[-1].shape[1] // 2) if x.shape[1] == columns else x
            x = x.reshape(-1, columns)
        return x

    def qz_matmul(self, op, a, *rest):
        _, count, biases, has_residual, has_experts = op.segments()
        weights, biases = rest[:count], rest[count:count + biases]
        if has_experts:
            experts = numbers(rest[-1])
            products = [slots_times(a, w, experts) for w in weights]
            biases = [bias[experts.ravel()] for bias in biases]
        else:
            products = [a @ w.T for w in weights]
        owners = op.numbers("bias_of", "i64").astype(int) if biases else ()
        for owner, bias in zip(owners, biases, strict=True):
            products[owner] = products[owner] + bias
        if has_residual:
            return rest[-1] + np.concatenate(products, axis=1)
        if "epilogue<logits>" in op.attributes:
            return softcap(op, op.number("scale") * np.concatenate(products, axis=1))
        if "epilogue<glu" in op.attributes:
            result = glu(*products, op.attributes)
        else:
            result = np.concatenate(products, axis=1)
            if "epilogue<none>" not in op.attributes:
                result = activate(result, op.attributes)
        return result.reshape(len(experts), -1) if has_experts else result

    def llm_state(self, op):
        _, head_dim, value_dim = re.search(r"!llm.state<(\d+), (\d+)(?:, (\d+))?>", op.types).groups()
        return self.states.setdefault(op.symbol("state"), {}), int(head_dim), int(value_dim or head_dim)

    def llm_embedding(self, op, batch, table, positions=None):
        x = op.number("scale") * table[batch["token"]]
        return x if positions is None else x + positions[batch["position"]]

    def llm_rms_norm(self, op, x, weight):
        return norm(x, weight, op.number("eps"))

    def llm_layer_norm(self, op, x, weight, bias=0):
        return layer_norm(x, weight, op.number("eps"), bias)

    def llm_activate(self, op, x):
        return activate(x, op.attributes)

    def llm_linear(self, op, x, weight, bias=0):
        return x @ weight.T + bias

    def llm_expert_linear(self, op, x, weight, routing, bias=None):
        experts = numbers(routing)
        if x.shape[1] == weight.shape[2]:
            x = np.tile(x, experts.shape[1])
        y = slots_times(x.reshape(-1, weight.shape[2]), weight, experts)
        if bias is not None:
            y = y + bias[experts.ravel()]
        return y.reshape(len(experts), -1)

    def llm_route(self, op, logits, bias=0):
        slots, groups, used = (int(op.number(key)) for key in ("top_k", "groups", "top_groups"))
        sigmoid = op.has("sigmoid")
        share = 1 / (1 + np.exp(-logits)) if sigmoid else np.exp(logits)
        choice = share + bias if sigmoid else logits
        parts = choice.reshape(len(choice), groups, -1)
        best = np.sort(parts, axis=2)[:, :, -2 if sigmoid else -1:].sum(axis=2)
        out = np.argsort(-best, axis=1, kind="stable")[:, used:]
        for row, left in zip(parts, out):
            row[left] = -np.inf
        experts = np.argsort(-parts.reshape(choice.shape), axis=1, kind="stable")[:, :slots]
        chosen = np.take_along_axis(share, experts, axis=1)
        if op.has("normalize") or not sigmoid:
            chosen = chosen / (chosen if op.has("normalize") else share).sum(axis=1, keepdims=True)
        return np.concatenate([experts, op.number("scale") * chosen], axis=1)

    def llm_route_all(self, op, batch):
        experts = np.arange(int(re.search(r"-> tensor<\?x(\d+)xf32>", op.types).group(1)) // 2)
        row = np.concatenate([experts, np.ones(len(experts))])
        return np.tile(row, (len(batch["token"]), 1))

    def llm_combine(self, op, slots, routing, *rest):
        weights = np.split(routing, 2, axis=1)[1]
        y = (weights[:, :, None] * slots.reshape(*weights.shape, -1)).sum(axis=1)
        _, _, has_shared, has_gate, has_residual = op.segments()
        if has_shared:
            y = y + rest[0] / (1 + np.exp(-rest[1]) if has_gate else 1)
        return y + rest[-1] if has_residual else y

    def llm_add(self, op, a, b):
        return a + b

    def llm_add_norm(self, op, residual, x, weight):
        return residual + norm(x, weight, op.number("eps"))

    def llm_glu(self, op, gate, up):
        return glu(gate, up, op.attributes)

    def angles(self, op, batch):
        angle = batch["position"][:, None] * op.numbers("frequencies")
        return op.number("factor") * np.cos(angle), op.number("factor") * np.sin(angle)

    def llm_rope(self, op, x, batch):
        return rotate(x, int(op.number("head_dim")), *self.angles(op, batch), op.has("adjacent"))

    def llm_rotations(self, op, batch):
        return np.concatenate(self.angles(op, batch), axis=1)

    def llm_concat_heads(self, op, first, second):
        heads = int(op.number("heads"))
        parts = [x.reshape(len(x), heads, -1) for x in (first, second)]
        return np.concatenate(parts, axis=2).reshape(len(first), -1)

    def append(self, state, keys, values):
        for m in range(len(keys)):
            where = (self.batch["sequence"][m], self.batch["position"][m])
            state[where] = keys[m], values[m]

    def attend(self, op, queries, state, head_dim, value_dim, scale, sinks):
        window = int(op.number("window"))
        result = np.empty((len(queries), queries.shape[1] // head_dim * value_dim))
        for m, row in enumerate(queries):
            sequence, position = self.batch["sequence"][m], self.batch["position"][m]
            seen = sorted(p for s, p in state if s == sequence and p <= position
                          and (window == 0 or p > position - window))
            keys = np.stack([state[sequence, p][0] for p in seen]).reshape(len(seen), -1, head_dim)
            values = np.stack([state[sequence, p][1] for p in seen]).reshape(*keys.shape[:2], value_dim)
            heads = row.reshape(-1, head_dim)
            for h, query in enumerate(heads):
                g = h // (len(heads) // keys.shape[1])
                score = np.exp(softcap(op, scale * keys[:, g] @ query))
                total = score.sum() + (0 if sinks is None else np.exp(sinks[h]))
                result[m, h * value_dim:(h + 1) * value_dim] = score / total @ values[:, g]
        return result

    def llm_attention(self, op, query, key, value, batch, state, sinks=None):
        self.append(state[0], key, value)
        return self.attend(op, query, *state, op.number("scale"), sinks)

    def llm_rope_append(self, op, qkv, rotations, batch, state, query_norm=None, key_norm=None):
        head_dim = state[1]
        width = int(re.search(r"-> tensor<\?x(\d+)xf32>", op.types).group(1))
        kv = (qkv.shape[1] - width) // 2
        query, key, value = np.split(qkv, [width, width + kv], axis=1)
        if query_norm is not None:
            kind = layer_norm if op.has("centered") else norm
            query = kind(query, query_norm, op.number("eps"))
            key = kind(key, key_norm, op.number("eps"))
        cos, sin = np.split(rotations, 2, axis=1)
        key = rotate(key, head_dim, cos, sin, op.has("adjacent"))
        self.append(state[0], key, value)
        return op.number("scale") * rotate(query, head_dim, cos, sin, op.has("adjacent"))

    def llm_latent_append(self, op, query, latent_query, key, rotations, batch, state, weight):
        _, head_dim, value_dim = state
        turned = head_dim - value_dim
        cos, sin = np.split(rotations, 2, axis=1)
        latent = norm(key[:, turned:], weight, op.number("eps"))
        key = rotate(key[:, :turned], turned, cos, sin, op.has("adjacent"))
        self.append(state[0], np.concatenate([key, latent], axis=1), latent)
        query = rotate(query, turned, cos, sin, op.has("adjacent"))
        parts = [x.reshape(len(x), -1, size) for x, size in ((query, turned), (latent_query, value_dim))]
        return op.number("scale") * np.concatenate(parts, axis=2).reshape(len(query), -1)

    def llm_attend(self, op, query, batch, state, sinks=None):
        return self.attend(op, query, *state, 1.0, sinks)

    def llm_scale_logits(self, op, x):
        return softcap(op, op.number("scale") * x)

    def llm_select_outputs(self, op, x, batch):
        return x[batch["output"]]
