#!/usr/bin/env python3
"""Order of the measurements, and the tables made of them (see README.md).

report.py plan ROUNDS SEED WORKLOADS VARIANTS       one measurement a line: round workload variant position
report.py report RUN.txt ROUNDS.csv RESULTS.md      writes RESULTS.md, prints a summary; exit 1 if records are missing
"""
import csv
import random
import sys
from statistics import median

TITLES = {
    "bare": "bare",
    "pg_stat_statements": "pg_stat_statements",
    "pgaudit": "pgaudit, log = all",
    "warden_idle": "pg_warden preloaded, not created",
    "warden_guards": "pg_warden, guards only",
    "warden_audit": "pg_warden, everything recorded",
}
# Goals of the design, shown beside the figures of the main workload. Reported, never asserted: a busy machine proves nothing.
GOALS = {"warden_guards": "0.97", "warden_audit": "0.88"}
BACKEND_GOALS = {"warden_audit": "0.97"}
MAIN = "select_prepared"


def plan(rounds, seed, workloads, variants):
    rng = random.Random(seed)
    for r in range(1, rounds + 1):
        for w in workloads:
            # A new order each time: no variant always follows the one that leaves the disk or the CPU busy.
            order = list(variants)
            rng.shuffle(order)
            for position, v in enumerate(order, 1):
                yield r, w, v, position


def read_run(path):
    run = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            key, _, value = line.rstrip("\n").partition("=")
            run.setdefault(key, []).append(value)
    return run


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def read_rounds(path):
    with open(path, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    text = ("workload", "variant", "error")
    return [{k: (v if k in text else number(v)) for k, v in row.items()} for row in rows]


def usable(row):
    return bool(row["tps"]) and not row["error"]


def mid(values, form="{:.2f}", missing="–"):
    values = [v for v in values if v is not None]
    return form.format(median(values)) if values else missing


def per_round(rows, bare, value):
    """value(row, bare row of the same round), over the rounds where both succeeded."""
    return [value(r, bare[r["round"]]) for r in rows if r["round"] in bare]


def total_us(row):
    return row["backend_us"] + row["background_us"] + row["pgbench_us"]


def backend_alone(row, bare):
    # Throughput if only the backends' part had changed: CPU time per transaction of the whole bare run, pgbench included,
    # against the same plus what the backends took more. CPU time is steadier than throughput on a shared machine.
    return total_us(bare) / (total_us(bare) + row["backend_us"] - bare["backend_us"])


def spread(ratios):
    return f"{min(ratios):.3f}..{max(ratios):.3f}" if ratios else "–"


def checks(rows):
    """Problems that make the figures untrue, pg_warden's records above all."""
    found = []
    for r in rows:
        where = f"round {r['round']:.0f}, {r['workload']}, {TITLES[r['variant']]}"
        if r["error"] or not r["tps"]:
            found.append(f"{where}: {r['error'] or 'no result'}")
            continue
        if r["failed"]:
            found.append(f"{where}: {r['failed']:.0f} transactions failed")
        if not r["variant"].startswith("warden_") or r["variant"] == "warden_idle":
            continue
        if r["found"] is None or r["found"] != r["expected"]:
            found.append(f"{where}: {show(r['found'])} statements recorded, {show(r['expected'])} expected")
        if r["window"] != r["window_found"]:
            found.append(f"{where}: {show(r['window'])} sequence numbers given out, {show(r['window_found'])} records found")
    return found


def show(value):
    return "?" if value is None else f"{value:,.0f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return lines + [""]


def workload_tables(name, rows, variants, skipped):
    good = {v: [r for r in rows if r["variant"] == v and usable(r)] for v in variants}
    bare = {r["round"]: r for r in good.get("bare", [])}
    main, records, summary = [], [], []
    for v in variants:
        mine = good[v]
        title = TITLES[v]
        if not mine:
            reason = skipped.get(v, "no successful round")
            main.append([title, f"n/a: {reason}"] + ["–"] * 6)
            summary.append((title, "n/a", reason, ""))
            continue
        ratios = per_round(mine, bare, lambda r, b: r["tps"] / b["tps"])
        alone = per_round(mine, bare, backend_alone)
        goal = f" (goal {GOALS[v]})" if name == MAIN and v in GOALS else ""
        alone_goal = f" (goal {BACKEND_GOALS[v]})" if name == MAIN and v in BACKEND_GOALS else ""
        main.append([
            title, mid([r["tps"] for r in mine], "{:,.0f}"), mid(ratios, "{:.3f}") + goal, spread(ratios),
            mid(alone, "{:.3f}") + alone_goal,
            mid([r["backend_us"] for r in mine], "{:.1f}"), mid([r["background_us"] for r in mine], "{:.1f}"),
            mid([r["wal_bytes"] / r["transactions"] for r in mine], "{:,.0f}"),
        ])
        summary.append((title, mid([r["tps"] for r in mine], "{:,.0f}"), mid(ratios, "{:.3f}") + goal, spread(ratios)))
        if v == "bare" or all(r["found"] is None for r in mine):
            continue
        drained = [r for r in mine if r["drain_s"] is not None and v == "warden_audit"]
        # A backlog written after the clock stopped would flatter the ratio: the same with that time on the bill.
        charged = per_round(drained, bare, lambda r, b: r["tps"] * r["seconds"] / (r["seconds"] + r["drain_s"]) / b["tps"])
        writes_here = name.startswith("select")   # other workloads grow their own tables too
        sized = [r for r in mine if v == "pgaudit" or (v == "warden_audit" and writes_here)]
        records.append([
            title, show(sum(r["expected"] or 0 for r in mine)), show(sum(r["found"] or 0 for r in mine)),
            "yes" if all(r["found"] == r["expected"] and r["window"] == r["window_found"] for r in mine) else "**NO**",
            mid([r["found"] / (r["seconds"] + (r["drain_s"] or 0)) for r in mine if r["found"] is not None], "{:,.0f}"),
            mid([r["size_bytes"] / max(1, r["window_found"] or r["found"] or 1) for r in sized], "{:,.0f}"),
            mid([r["drain_s"] for r in drained]), mid(charged, "{:.3f}"),
        ])
    return main, records, summary


def report(run_path, csv_path, out_path):
    run = read_run(run_path)
    rows = read_rounds(csv_path)
    one = {k: v[0] for k, v in run.items()}
    variants, workloads = one["variants"].split(), one["workloads"].split()
    skipped = {k[len("skipped."):]: v[0] for k, v in run.items() if k.startswith("skipped.")}
    problems = run.get("failed", []) + checks(rows)

    out = ["# Benchmark results", "", "Written by `make bench` (bench/run.sh); bench/README.md explains the method. Do not edit.", ""]
    out += table(["", ""], [
        ["Date", one["date"]],
        ["Machine", f"{one['cpu']}, {one['cores']} cores, {one['memory']}"],
        ["Kernel", one["kernel"]],
        ["Load average", one["load"]],
        ["PostgreSQL", one["postgresql"]],
        ["pgaudit", one["pgaudit"]],
        ["pg_warden", one["pg_warden"] or "not installed"],
        ["Rounds", f"{one['rounds']} of {one['seconds']} s after {one['warmup']} s of warm-up, order shuffled with seed {one['seed']}"],
        ["pgbench", f"scale {one['scale']}, {one['clients']} clients, {one['jobs']} threads, Unix socket, an ordinary role"],
    ])
    out += ["Settings of every variant (all others are the defaults of PostgreSQL):", "", "```"] + run.get("common", []) + ["```", ""]
    out += ["Settings of one variant:", ""]
    for v in variants:
        out.append(f"- {TITLES[v]}: " + (", ".join(f"`{c}`" for c in run.get(f"conf.{v}", [])) or skipped.get(v, "none")))
    out.append("")

    if problems:
        out += ["**Checks that failed:**", ""] + [f"- {p}" for p in problems] + [""]
    others = [r["other_pct"] + r["steal_pct"] for r in rows if r["other_pct"] is not None]
    if others and median(others) > 5:
        out += [f"**The machine was not quiet:** other programs and the hypervisor took {median(others):.0f} % of the CPU time (median of the rounds, "
                f"worst {max(others):.0f} %). Do not read much into these figures.", ""]

    for w in workloads:
        here = [r for r in rows if r["workload"] == w]
        main, records, summary = workload_tables(w, here, variants, skipped)
        out += [f"## {w}" + (" (main figure)" if w == MAIN else ""), "", f"`{one['options.' + w]}`", ""]
        out += table(["variant", "median tps", "ratio to bare", "spread", "backend's part alone", "backend µs/tx", "background µs/tx", "WAL bytes/tx"], main)
        busy = [r["busy_pct"] for r in here if r["variant"] == "bare" and r["busy_pct"] is not None]
        if busy:
            out += [f"CPU busy in the bare rounds: {median(busy):.0f} % (median)." +
                    (" There was idle CPU left, on which a background writer works unseen: look at the CPU time too." if median(busy) < 90 else ""), ""]
        if records:
            out += ["What was recorded, all rounds together:", ""]
            out += table(["variant", "statements run", "recorded", "complete", "records/s", "bytes/record", "drain s", "ratio with drain"], records)
        print(f"\n{w}: {one['options.' + w]}")
        print(f"  {'variant':<32}{'median tps':>12}   {'ratio to bare':<20}spread")
        for title, tps, ratio, rng in summary:
            print(f"  {title:<32}{tps:>12}   {ratio:<20}{rng}")

    out += ["<details><summary>Raw rounds (also in results/rounds.csv)</summary>", ""]
    raw = []
    for r in rows:
        raw.append([f"{r['round']:.0f}", r["workload"], r["variant"], f"{r['position']:.0f}"] +
                   [("" if r[k] is None else form.format(r[k])) for k, form in (
                       ("tps", "{:.1f}"), ("transactions", "{:.0f}"), ("busy_pct", "{:.1f}"), ("other_pct", "{:.1f}"), ("steal_pct", "{:.1f}"),
                       ("backend_us", "{:.2f}"), ("background_us", "{:.2f}"), ("pgbench_us", "{:.2f}"), ("expected", "{:.0f}"), ("found", "{:.0f}"),
                       ("drain_s", "{:.3f}"))] + [r["error"] or ""])
    out += table(["round", "workload", "variant", "position", "tps", "transactions", "busy %", "other %", "steal %", "backend µs", "background µs",
                  "pgbench µs", "expected", "recorded", "drain s", "error"], raw)
    out += ["</details>", ""]
    with open(out_path, "w", encoding="utf-8") as f:
        f.write("\n".join(out))
    print()
    for p in problems:
        print(f"CHECK FAILED: {p}")
    return 1 if problems else 0


def main(argv):
    if len(argv) == 6 and argv[1] == "plan":
        for line in plan(int(argv[2]), int(argv[3]), argv[4].split(), argv[5].split()):
            print(*line)
        return 0
    if len(argv) == 5 and argv[1] == "report":
        return report(*argv[2:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
