#!/usr/bin/env python3
"""What guards cost: a few of them, ten thousand, a change of them, one decision. See README.md, "Guards".

Writes GUARDS.md beside this file, or where BENCH_OUT says. Timings are reported, never asserted; that the guards act is
checked, and the exit code says so.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from statistics import median

from harness import (BINDIR, CLIENTS, CORES, HERE, Cluster, interleaved, middle, problems, ratio, report, run, say, settle, table)

PARTS = os.environ.get("BENCH_PARTS", "throughput reload decision").replace(",", " ").split()
QUIET = "shared_preload_libraries = 'pg_warden'\nwarden.audit = 'none'\n"
VARIANTS = {"bare": (None, ""), "10 guards": (10, QUIET), "10,000 guards": (10_000, QUIET)}

# On tables that exist, classes and roles mixed, none of them those of the load: what a large installation has.
MAKE_GUARDS = """
    SELECT count(*) FROM (SELECT warden.guard('other_' || i, (ARRAY['block', 'alert'])[1 + i % 2], ARRAY[c],
        ARRAY['other.t' || i % 1000 || CASE WHEN i % 5 = 0 THEN '.a' ELSE '' END],
        CASE WHEN i % 3 = 0 THEN '{role:pg_monitor}' ELSE '{*}' END::text[], priority => i % 7)
    FROM generate_series(1, %d) i, LATERAL (SELECT (ARRAY['read', 'write', 'delete', 'ddl'])[1 + i %% 4]) s (c)) s
""".replace("i % ", "i %% ")

THREE = """SELECT a.abalance, b.bbalance, t.tbalance FROM pgbench_accounts a JOIN pgbench_branches b USING (bid)
JOIN pgbench_tellers t ON t.tid = b.bid WHERE a.aid = :aid;""".replace("\n", " ")


def prepare(cluster, guards, scale=10):
    cluster.sql("CREATE DATABASE bench", "postgres")
    run([f"{BINDIR}/pgbench", "-i", "-q", "-s", str(scale), "-h", cluster.place, "-U", "postgres", "bench"])
    cluster.sql("CREATE ROLE app LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO app; CREATE SCHEMA other")
    cluster.sql("DO $$ BEGIN FOR i IN 0..999 LOOP EXECUTE format('CREATE TABLE other.t%s (a int, b int)', i); END LOOP; END $$")
    cluster.sql("VACUUM (FREEZE, ANALYZE)")
    if guards is None:
        return
    cluster.sql("CREATE EXTENSION pg_warden")
    cluster.sql(MAKE_GUARDS % guards)
    done = subprocess.run([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "postgres", "-d", "bench", "-c", "SELECT b FROM other.t4",
                           "-c", "DELETE FROM pgbench_tellers"], capture_output=True, text=True, check=False)
    if "whole-table-dml" not in done.stderr:
        problems.append(f"{cluster.name}: DELETE of a whole table was not refused: {done.stderr.strip()}")


# --- throughput ----------------------------------------------------------------------------------------------------------

def throughput(place):
    clusters = {}
    try:
        for name, (guards, settings) in VARIANTS.items():
            clusters[name] = Cluster(place, re.sub(r"\W", "", name), settings)
            prepare(clusters[name], guards)
        three = os.path.join(place, "three.sql")
        with open(three, "w", encoding="utf-8") as f:
            f.write("\\set aid random(1, 1000000)\n" + THREE + "\n")
        os.chmod(three, 0o644)
        rows = []
        for title, options in (("-S -M prepared", ("-S", "-M", "prepared")), ("-S -M simple", ("-S", "-M", "simple")),
                               ("join of three tables, prepared", ("-M", "prepared", "-f", three))):
            say(f"  {title}")
            settle(clusters)
            figures = interleaved(clusters, lambda c, o=options: c.pgbench(*o))
            among = {"bare": figures["10 guards"], "10,000 guards": figures["10,000 guards"]}
            rows.append([title, middle(figures["bare"]), ratio(figures, "10 guards"), ratio(figures, "10,000 guards"),
                         ratio(among, "10,000 guards")])
        return "## Throughput\n\n" \
            f"pgbench `-c {CLIENTS} -j {CORES}`, `warden.audit = 'none'`, medians of the ratios of the same round. Goals: guards without audit at 0.97 of\n" \
            "bare or better; 10,000 guards within 3 % of 10.\n\n" + \
            table(["", "bare tps", "10 guards / bare", "10,000 guards / bare", "10,000 / 10"], rows)
    finally:
        for cluster in clusters.values():
            cluster.stop()


# --- a change of the policy ----------------------------------------------------------------------------------------------

def timed(cluster, script):
    """The times in ms of the statements of a script, one psql."""
    done = subprocess.run([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "postgres", "-d", "bench"], input="\\timing on\n" + script,
                          capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        problems.append(f"psql: {done.stderr.strip()}")
    return [float(x) for x in re.findall(r"^Time: ([\d.]+) ms", done.stdout, re.M)]


def reload(place):
    """The first statement after a guard was changed loads the policy; the second does not."""
    rows = []
    for guards in (10, 1_000, 10_000):
        cluster = Cluster(place, f"reload{guards}", QUIET)
        try:
            prepare(cluster, guards, scale=1)
            changes = 30
            times = timed(cluster, "".join(f"SELECT warden.guard('changed', 'alert', '{{delete}}', '{{other.t{i}}}');\nSELECT 1;\nSELECT 1;\n"
                                           for i in range(changes)))
            loads = [first - second for first, second in zip(times[1::3], times[2::3])]
            starts = timed_starts(cluster)
            rows.append([f"{guards:,}", f"{median(times[0::3]):.2f}", f"{median(loads):.2f}", f"{starts:.2f}"])
        finally:
            cluster.stop()
    return "## A change of the policy\n\nMilliseconds, medians of 30. Goal: a reload under 5 ms for 1,000 guards.\n\n" + \
        table(["guards", "warden.guard(…)", "reload by the next statement", "first statement of a new session"], rows)


def timed_starts(cluster):
    return median(timed(cluster, "SELECT 1;\n")[0] for _ in range(30))


# --- one decision --------------------------------------------------------------------------------------------------------

CASES = [
    ("no guard asks about reads", "SELECT 1"),
    ("guards on reads of other tables", "SELECT warden.guard('r', 'block', '{read}', '{other.t1, other.t2}')"),
    ("a guard on the schema, for another role", "SELECT warden.guard('s', 'block', '{read}', '{public.*}', '{role:pg_monitor}')"),
    ("guards on each of the tables, by column", "SELECT warden.guard('c', 'block', '{read}', '{public.pgbench_accounts.filler, "
     "public.pgbench_branches.filler, public.pgbench_tellers.filler}')"),
    ("and 10,000 guards on other tables", MAKE_GUARDS % 10_000),
]


def decision(place):
    """Swift's part of a statement of three tables, by a build that measures it inside the server."""
    root = os.path.dirname(HERE)
    run(["make", "--no-print-directory", "-C", root, "install", "WARDEN_MEASURE=1"])
    cluster = Cluster(place, "decision", QUIET)
    rows = []
    try:
        prepare(cluster, 0)
        script = os.path.join(place, "decision.sql")
        with open(script, "w", encoding="utf-8") as f:
            f.write("\\set aid random(1, 1000000)\n" + THREE + "\n")
        os.chmod(script, 0o644)
        log = os.path.join(cluster.data, "log", "postgresql.log")
        for title, guard in CASES:
            cluster.sql(guard)
            cluster.truncate_log()
            cluster.pgbench("-M", "prepared", "-f", script, clients=1)
            with open(log, encoding="utf-8") as f:
                times = [int(x) for x in re.findall(r"decisions: (\d+) ns each, the last one on 3 objects", f.read())]
            if not times:
                problems.append(f"decision: nothing was measured: {title}")
                continue
            rows.append([title, f"{median(times)}", f"{min(times)} – {max(times)}"])
    finally:
        cluster.stop()
        run(["make", "--no-print-directory", "-C", root, "install"])
    return "## One decision\n\nNanoseconds of `warden_decide`, called by a prepared join of three tables, the clock's own cost included; each figure the mean of\n" \
        "10,000 decisions. Goal: under 1,000.\n\n" + table(["guards in force, besides the built-in ones", "median", "least – most"], rows)


PART_FUNCTIONS = {"throughput": throughput, "reload": reload, "decision": decision}


def main():
    unknown = [p for p in PARTS if p not in PART_FUNCTIONS]
    if unknown:
        raise SystemExit(f"bench: BENCH_PARTS: unknown {unknown}; known: {' '.join(PART_FUNCTIONS)}")
    place = tempfile.mkdtemp(prefix="pgw-guards.")
    os.chmod(place, 0o755)
    sections = []
    try:
        for part in PARTS:
            say(f"bench: {part}")
            sections.append(PART_FUNCTIONS[part](place))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return report("GUARDS.md", "What guards cost", sections)


if __name__ == "__main__":
    sys.exit(main())
