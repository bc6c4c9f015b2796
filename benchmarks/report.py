# report.py - Results as a table and a plot.
# SPDX-License-Identifier: Apache-2.0


def format_rates(values, median):
    return f"{median:.0f} ({min(values):.0f} - {max(values):.0f})"


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
        cells = [row["model"], f"{row['kind']} {row['tokens']}", str(row["threads"]),
                 format_rates(row["rates"]["qcc"], row["median"]["qcc"])]
        for name in peers:
            cells += [format_rates(row["rates"][name], row["median"][name]),
                      f"**{row['ratio'][name]:.2f}**"]
        unsteady = row["limit_spread"] > 0.05
        moved |= unsteady
        cells.append(f"{row['limit']:.0f}" + (" (moved)" if unsteady else ""))
        cells += [f"{row['share'][name]:.2f}" for name in ["qcc", *peers]]
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


def write_plot(results, path):
    """One group of bars a row, as shares of the limit. False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ["qcc", *results["peers"]]
    rows = results["rows"]
    figure, axes = pyplot.subplots(figsize=(1.4 * len(rows) + 2, 4))
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = [place + index * width for place in range(len(rows))]
        bars = axes.bar(places, [row["share"][name] for row in rows], width, label=name)
        axes.bar_label(bars, [f"{row['median'][name]:.0f}" for row in rows], fontsize=7)
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(rows))],
                    [f"{row['model'][:14]}\n{row['kind']}, {row['threads']} thr."
                     for row in rows], fontsize=7)
    axes.axhline(1.0, color="gray", linewidth=0.8)
    axes.set_ylabel("share of the measured limit (tokens/s above)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    return True
