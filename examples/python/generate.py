#!/usr/bin/env python3
# generate.py - The transformers snippet: from transformers import ... before.
# SPDX-License-Identifier: Apache-2.0
import sys

from qcc import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], device_map="auto")

messages = [{"role": "user", "content": "Name the capital of France."}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True,
                                       return_tensors="np").to(model.device)
outputs = model.generate(**inputs, max_new_tokens=40)
answer = outputs[0][inputs["input_ids"].shape[-1]:]
print(tokenizer.decode(answer, skip_special_tokens=True))
