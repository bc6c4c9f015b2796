# report.py - Results as a table and a plot.
# SPDX-License-Identifier: Apache-2.0

import html


def format_rates(values, median):
    digits = 0 if median >= 20 else 1
    return f"{median:.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def write_markdown(results, path):
    """Writes and returns the table: medians, spread, ratio, share of the limit."""
    machine = results["machine"]
    peers = list(results["peers"])
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine.get('memory', '?')} of memory, "
        f"kernel {machine['kernel']}; {results['date']}; target {results['target']}; "
        f"{results['rounds']} rounds in turn; tokens/s as median (lowest - highest); load "
        f"before the run {machine['load_before']:.2f}.",
        "",
        "| model | | threads | qcc | " +
        " | ".join(f"{name} | qcc / {name}" for name in peers) + " | limit | qcc's share | " +
        " | ".join(f"{name}'s share" for name in peers) + " |",
        "|---" * (6 + 3 * len(peers)) + "|"]
    moved = False
    for row in results["rows"]:
        at = f" at {row['depth']}" if row["depth"] else ""
        cells = [row["model"], f"{row['kind']} {row['tokens']}{at}", str(row["threads"]),
                 format_rates(row["rates"]["qcc"], row["median"]["qcc"])]
        for name in peers:
            known = name in row["rates"]
            cells += [format_rates(row["rates"][name], row["median"][name]),
                      f"**{row['ratio'][name]:.2f}**"] if known else ["", ""]
        unsteady = row["limit_spread"] > 0.05
        moved |= unsteady
        cells.append(f"{row['limit']:.{0 if row['limit'] >= 20 else 1}f}"
                     + (" (moved)" if unsteady else ""))
        cells += [f"{row['share'][name]:.2f}" if name in row["share"] else ""
                  for name in ["qcc", *peers]]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Limits of the machine, measured before and after each round:", ""]
    for row in results["rows"]:
        first = row["measured"][0]
        if row["kind"] == "decode":
            rates = [limit["read_gb_per_second"] for limit in row["measured"]]
            what = (f"reads {min(rates):.1f} - {max(rates):.1f} GB/s; a token needs "
                    f"{row['bytes_per_token'] / 1e6:.1f} MB")
        else:
            rates = [limit["dot_gmac_per_second"] for limit in row["measured"]]
            what = (f"{first['dot_instructions']} {min(rates):.0f} - {max(rates):.0f} GMAC/s at "
                    f"{first['clock_ghz']} GHz; a token needs "
                    f"{row['macs_per_token'] / 1e6:.1f} M")
        lines.append(f"- {row['model']}, {row['kind']}, {row['threads']} threads: {what}")
    if moved:
        lines += ["", "\"moved\": the limit changed by more than 5 % during the runs. Shares are "
                      "medians over the rounds, each against the limit around it."]
    text = "\n".join(lines) + "\n"
    path.write_text(text)
    return text


COLORS = ("#2b6cb0", "#c05621", "#4a5568", "#718096")


def write_plot(results, path):
    """One group of bars a row, as shares of the limit, as an SVG file."""
    names = ["qcc", *results["peers"]]
    left, width, bar, gap = 250, 520, 14, 12
    group = bar * len(names) + gap
    height = 40 + group * len(results["rows"]) + 30
    parts = []

    def text(x, y, content, anchor="start"):
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">'
                     f"{html.escape(content)}</text>")

    def box(x, y, w, color):
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.1f}" height="{bar - 2}" '
                     f'fill="{color}"/>')

    for index, name in enumerate(names):
        box(left + 130 * index, 12, bar, COLORS[index % len(COLORS)])
        text(left + 130 * index + 20, 22, name)
    for tenth in range(0, 11, 2):
        x = left + width * tenth / 10
        parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="34" y2="{height - 26}" '
                     f'stroke="#cbd5e0"/>')
        text(x, height - 12, f"{tenth / 10:.1f}", "middle")
    text(left - 10, height - 12, "share of the limit (tokens/s beside the bars)", "end")
    for number, row in enumerate(results["rows"]):
        top = 40 + group * number
        text(left - 10, top + group / 2 - gap / 2 + 4,
             f"{row['model'][:16]} {row['kind']}, {row['threads']} thr.", "end")
        for index, name in enumerate(names):
            if name not in row["share"]:
                continue
            y, share = top + bar * index, min(row["share"][name], 1.0)
            box(left, y, width * share, COLORS[index % len(COLORS)])
            text(left + width * share + 5, y + 10, f"{row['median'][name]:.0f}")
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" '
                    f'height="{height}" font-family="sans-serif" font-size="11">\n'
                    f'<rect width="100%" height="100%" fill="white"/>\n'
                    + "\n".join(parts) + "\n</svg>\n")
