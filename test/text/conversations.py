# conversations.py - Fifty conversations for the comparison of chat templates.
# SPDX-License-Identifier: Apache-2.0
import random

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Get the \"weather\" & <more>\nfor a city é",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "days": {"type": "integer", "enum": [1, 2, 3]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "place": {"type": "object", "properties": {"lat": {"type": "number"}}}},
            "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "add", "description": "", "parameters": {
            "type": "object", "properties": {"a": {"type": "number"}, "B": {"type": "number"}},
            "required": []}}},
]

TEXTS = [
    "Hi", "What is the capital of France?", "  spaces around  ", "\n\nnewlines\n\n", "",
    "{{ 'not a template' }} {% if x %}", "<|im_end|> <|eot_id|> </s>", "'single' and \"double\"",
    "Köln, 東京, Ελλάδα, שלום, नमस्ते 🙂 e\u0301", "tab\there\r\nand CRLF", "back\\slash \\n",
    "<think>\nhmm\n</think>\n\nYes", "<b>&amp;</b>", "x" * 500, "1,234.5 %d %s {} {0}",
    "\u00a0no-break\u00a0", "multi\nline\n\n  indented\n", "ß İ ı ﬁ",
]


def call(rng):
    return {"id": "call_%05d" % rng.randrange(100000), "type": "function", "function": {
        "name": rng.choice(["get_weather", "add"]),
        "arguments": rng.choice([
            {"city": "Köln", "days": 2}, {"a": 1.5, "b": -3, "c": None, "d": True, "e": [1, {"f": "g"}]},
            "{\"city\": \"Paris\"}", {}])}}


def conversations(count=50, seed=1):
    """(variables) of `count` renderings: conversations with and without system
    turns, with tool calls, with contents in parts, and with odd orders."""
    rng = random.Random(seed)
    out = []
    for i in range(count):
        messages = []
        if i % 2:
            messages.append({"role": "system", "content": rng.choice(TEXTS)})
        kind = i % 10
        for turn in range(rng.randrange(0 if i > 40 else 1, 6)):
            role = "user" if turn % 2 == 0 else "assistant"
            content = rng.choice(TEXTS)
            message = {"role": role, "content": content}
            if kind == 4 and role == "user":
                message["content"] = [{"type": "text", "text": content},
                                      {"type": "image"}, {"type": "text", "text": "end"}]
            if kind == 6 and role == "assistant":
                message["tool_calls"] = [call(rng) for _ in range(rng.randrange(1, 3))]
                message["content"] = rng.choice(["", None, content])
            if kind == 8 and role == "assistant":
                message["reasoning_content"] = rng.choice(TEXTS)
            messages.append(message)
            if kind == 6 and role == "assistant":
                messages.append({"role": "tool", "name": "get_weather",
                                 "content": "{\"temperature\": 5}"})
        if kind == 9:
            rng.shuffle(messages)
        variables = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>",
                     "tools": None, "documents": None, "add_generation_prompt": i % 3 != 0}
        if kind in (3, 6, 7):
            variables["tools"] = TOOLS
        if i % 7 == 0:
            variables["enable_thinking"] = bool(i % 14)
        out.append(variables)
    return out
