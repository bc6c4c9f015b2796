# compare.py - How far logits are from the golden ones.
# SPDX-License-Identifier: Apache-2.0
"""The golden files hold, for each prompt, what the same weights give in f32:

  <prompt>/ids         [n] token ids
  <prompt>/logsumexp   [m] log of the sum of exp(logits) at each kept position
  <prompt>/top_ids     [m, 128], and
  <prompt>/top_logits  [m, 128]: the largest logits, in descending order
  <prompt>/positions   [m] the kept positions, where not all n are
  <prompt>/greedy      the next tokens by greedy decoding

  compare.py GOLDEN.npz PROMPT LOGITS.npy
"""
import json
import sys

import numpy as np


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def compare(golden, prompt, logits):
    """Figures for float32 `logits` [positions of the prompt, vocabulary]. The
    divergence is that over the 128 likeliest tokens and one bucket of all
    others, a lower bound of the whole one."""
    key = lambda name: golden[f"{prompt}/{name}"]
    if len(logits) < len(key("ids")):
        raise ValueError(f"expected {len(key('ids'))} positions, got {len(logits)}")
    kept = key("positions") if f"{prompt}/positions" in golden else slice(len(key("ids")))
    logits = logits[kept].astype(np.float64)
    top = key("top_ids").astype(np.int64)
    log_p = key("top_logits").astype(np.float64) - key("logsumexp")[:, None]
    log_q = np.take_along_axis(log_softmax(logits), top, -1)
    p, q = np.exp(log_p), np.exp(log_q)
    rest_p = np.maximum(1 - p.sum(-1), 1e-12)
    rest_q = np.maximum(1 - q.sum(-1), 1e-12)
    kl = (p * (log_p - log_q)).sum(-1) + rest_p * np.log(rest_p / rest_q)
    difference = np.abs(np.take_along_axis(logits, top, -1) - key("top_logits"))
    return {
        "positions": len(top),
        "mean_kl": float(kl.mean()),
        "max_kl": float(kl.max()),
        "max_difference": float(difference.max()),
        "top1": float((logits.argmax(-1) == top[:, 0]).mean()),
        "kl": kl,
    }


if __name__ == "__main__":
    result = compare(np.load(sys.argv[1]), sys.argv[2], np.load(sys.argv[3]))
    del result["kl"]
    print(json.dumps(result))
