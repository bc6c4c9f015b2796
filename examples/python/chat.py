#!/usr/bin/env python3
# chat.py - A conversation in the terminal, its answers as they come.
# SPDX-License-Identifier: Apache-2.0
import sys

import qcc

with qcc.AutoModelForCausalLM.from_pretrained(sys.argv[1], progress=True) as llm:
    messages = []
    while question := input("> "):
        messages.append({"role": "user", "content": question})
        answer = ""
        for piece in llm.chat(messages, stream=True, max_new_tokens=200):
            print(piece, end="", flush=True)
            answer += piece
        print()
        messages.append({"role": "assistant", "content": answer})
