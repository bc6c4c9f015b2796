# table.py - The results as a table, also inside a document.
# SPDX-License-Identifier: Apache-2.0

from formats import BASELINE, NAMES

BEGIN, END = "<!-- measure_formats.py -->", "<!-- end -->"
COLUMNS = ("format", "source MB", "artefact MB", "read a token MB", "KL, prompt", "KL, generating",
           "f32 beside transformers", "KL from the original", "decode", "prefill", "decode / Q4_1", "prefill / Q4_1")


def megabytes(row, key):
    return f"{row[key] / 1e6:.1f}" if key in row else ""


def divergence(row, key):
    if key not in row:
        return ""
    return f"{row[key]:.5f}" if row[key] >= 1e-4 else f"{row[key]:.1e}"


def rate(row, kind):
    if kind not in row:
        return ""
    return f"{row[kind]['median']:.0f} ({row[kind]['lowest']:.0f} - {row[kind]['highest']:.0f})"


def cells(name, row):
    difference = row.get("difference")
    return [name, megabytes(row, "source_bytes"), megabytes(row, "artefact_bytes"),
            megabytes(row, "bytes_per_token"),
            divergence(row, "prompt_kl"), divergence(row, "step_kl"),
            "" if difference is None else f"{difference:.1e}", divergence(row, "base_kl"),
            rate(row, "decode"), rate(row, "prefill"),
            *(f"{row[kind]['ratio']:.2f}" if kind in row else ""
              for kind in ("decode", "prefill"))]


def table(results):
    lines = []
    if speed := results.get("speed"):
        facts = speed["machine"]
        lines += [f"Speed: {facts['cpu']}, {facts['cores']} cores, {speed['date']}, target "
                  f"{speed['target']}, {speed['threads']} thread(s), prompts of {speed['prompt']} "
                  f"and {speed['generate']} generated tokens, tokens/s as median (lowest - "
                  f"highest) of {speed['rounds']} rounds, each run after one of {BASELINE}; load "
                  f"before {facts['load_before']:.2f}.", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    rows = [(name, results["formats"][name]) for name in NAMES if name in results["formats"]]
    lines += ["| " + " | ".join(cells(name, row)) + " |" for name, row in rows]
    lines += [f"\n{name}: refused: {row['refused']}" for name, row in rows if "refused" in row]
    return "\n".join(lines) + "\n"


def replace_table(path, text):
    """Between the two lines that mark the table's place."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: expected the lines '{BEGIN}' and '{END}'")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
