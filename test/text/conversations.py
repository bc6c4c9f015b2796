# conversations.py - Conversations for the comparison of chat templates.
# SPDX-License-Identifier: Apache-2.0
import json
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


# Forms that families differ in; a conversation keeps to one of each.
SHAPES = {
    "first": [None, "system", "system", "developer", "parts"],
    "answerer": ["tool", "tool", "tool", "ipython", "function", "tool_response"],
    "calls": [0, 1, 1, 2],
    "call": ["function", "function", "flat"],
    "arguments": ["object", "text", "mixed"],
    "beside": ["absent", "empty", "none", "text"],  # the content of a message with calls
    "answer": ["json", "number", "object", "parts"],
    "thought": [None, None, "reasoning_content", "thinking", "reasoning", "tool_plan"],
    "prompt": ["text", "text", "text", "parts"],
}


def shaped_call(rng, shape):
    one = call(rng)
    one["id"] = "%09d" % rng.randrange(10**9)
    function = one["function"]
    if shape["arguments"] == "object":
        function["arguments"] = {"city": "Köln", "list": [1, None, "x"], "f": {"a": -0.5}}
    elif shape["arguments"] == "text":
        function["arguments"] = "{\"city\": \"K\u00f6ln\"}"
    if rng.random() < 0.1:
        function["name"] = rng.choice(["python", "brave_search"])
    return {**one, **one.pop("function"), "function": None} if shape["call"] == "flat" else one


def dialogue(rng):
    """A conversation as an agent has it: system or developer, then turns of a
    user, perhaps calls with their answers, and an assistant."""
    shape = {name: rng.choice(values) for name, values in SHAPES.items()}
    messages = []

    def parts(text):
        return [{"type": "text", "text": text}]

    def thinks(message):
        if shape["thought"] and rng.random() < 0.7:
            message[shape["thought"]] = rng.choice(TEXTS)
        messages.append(message)

    if shape["first"] == "parts":
        messages.append({"role": "system", "content": parts(rng.choice(TEXTS))})
    elif shape["first"]:
        messages.append({"role": shape["first"], "content": rng.choice(TEXTS)})
    for _ in range(rng.randrange(1, 4)):
        text = rng.choice(TEXTS)
        messages.append({"role": "user",
                         "content": text if shape["prompt"] == "text" else parts(text)})
        for _ in range(rng.randrange(0, 3) if shape["calls"] else 0):
            calls = [shaped_call(rng, shape) for _ in range(shape["calls"])]
            message = {"role": "assistant", "tool_calls": calls}
            if shape["beside"] != "absent":
                message["content"] = {"empty": "", "none": None}.get(shape["beside"], "I look it up.")
            thinks(message)
            for one in calls:
                content = {"json": "{\"temperature\": 5}", "number": "12",
                           "object": {"t": 1.5, "é": [True]}, "parts": parts("warm")}
                messages.append({"role": shape["answerer"], "tool_call_id": one["id"],
                                 "name": "get_weather", "content": content[shape["answer"]]})
        thinks({"role": "assistant", "content": rng.choice(TEXTS)})
    if rng.random() < 0.7:
        messages.append({"role": "user", "content": rng.choice(TEXTS)})
    return messages


# Tools as one family described them once.
DEFINITIONS = [{"name": "search", "description": "Finds \"it\".", "parameter_definitions": {
    "query": {"type": "str", "description": "What", "required": True},
    "count": {"type": "List[int]", "description": "é", "required": False}}}]

# Variables that some family's template looks at, with values that it knows.
OPTIONS = {
    "enable_thinking": [True, False], "thinking": [True, False], "reasoning_effort": ["low", "high"],
    "date_string": ["1 Jan 2025"], "tools_in_user_message": [True, False],
    "builtin_tools": [["browser", "python"], ["code_interpreter", "wolfram_alpha"]],
    "model_identity": ["You are Q."], "custom_instructions": ["Be \"kind\"."],
    "xml_tools": [TOOLS], "python_tools": [["def f(): pass"]], "custom_tools": [TOOLS],
    "keep_past_thinking": [True], "system_message": ["S"], "thinking_budget": [0, 512],
    "controls": [{"length": "short", "originality": "abstractive"}], "citation_mode": ["fast"],
    "documents": [[{"title": "T é", "text": "body\n", "doc_id": 1}, {"title": "U", "text": ""}], []],
    "available_tools": [TOOLS], "functions": [json.dumps(TOOLS)], "datetime": ["now"], "json_schema": ["{}"], "safety_mode": ["none"],
    "continue_final_message": [True],
}


def dialogues(count=80, seed=3):
    """(variables) of `count` renderings of such conversations."""
    rng = random.Random(seed)
    out = []
    for style in range(count):
        variables = {"messages": dialogue(rng), "bos_token": "<s>", "eos_token": "</s>",
                     "tools": None, "documents": None, "add_generation_prompt": style % 3 != 0}
        if style % 5 < 3:
            variables["tools"] = [TOOLS, TOOLS, [t["function"] for t in TOOLS], DEFINITIONS][style % 4]
        for name in rng.sample(sorted(OPTIONS), rng.randrange(0, 5)):
            variables[name] = rng.choice(OPTIONS[name])
        out.append(variables)
    return out
