#!/usr/bin/env python3
# complete.py - The ctransformers snippet: from ctransformers import ... before.
# SPDX-License-Identifier: Apache-2.0
import sys

from qcc import AutoModelForCausalLM

llm = AutoModelForCausalLM.from_pretrained(sys.argv[1])

print(llm("AI is going to"))
