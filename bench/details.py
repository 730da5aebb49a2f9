#!/usr/bin/env python3
"""What pg_warden costs beyond the main figures of run.sh: see README.md, "Details".

Three clusters side by side (bare, pgaudit, pg_warden), one loaded at a time, rounds interleaved. Writes DETAILS.md beside
this file, or where BENCH_OUT says. Timings are reported, never asserted; what must be true (every statement recorded once)
is checked, and the exit code says so.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from statistics import median

from harness import (BINDIR, CLIENTS, CORES, ROUNDS, SECONDS, SHAREDIR, Cluster, flush, interleaved, middle, problems, ratio, report, run, say,
                     settle, table)

PARTS = os.environ.get("BENCH_PARTS", "backend classes writer many connect memory verify power").replace(",", " ").split()

# A ring that takes what eight clients record while the writer is stopped for some seconds.
RING_MB = 64

VARIANTS = {
    "bare": "",
    "pgaudit": "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'all'\n",
    "warden": "shared_preload_libraries = 'pg_warden'\n",
}


# --- the backend's part alone: the writer stopped, rings large enough ----------------------------------------------------

def backend_part(clusters):
    pair = {n: clusters[n] for n in ("bare", "warden")}
    before, during = 3, 3

    def touch(cluster):
        """An empty ring starts over at its first byte, so that most of a large one has never been touched: memory that the
        machine has to find first, which is not what is measured."""
        stopped = cluster.writer()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        cluster.pgbench("-S", "-M", "prepared", seconds=during + 2)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        flush(cluster)

    def measure(cluster):
        if cluster.name == "warden":
            cluster.pgbench("-S", "-M", "prepared", seconds=1)   # a writer is there
            touch(cluster)
        settle(pair)
        client = subprocess.Popen(
            [f"{BINDIR}/pgbench", "-n", "-S", "-M", "prepared", "-h", cluster.place, "-U", "app", "-c", str(CLIENTS), "-j", str(CORES),
             "-T", str(before + during + 2), "-P", "1", "bench"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(before + 0.3)
        stopped = cluster.writer() if cluster.name == "warden" else []
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(during)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        errors = client.communicate()[1]
        progress = [float(x) for x in re.findall(r"progress: [\d.]+ s, ([\d.]+) tps", errors)]
        return median(progress[before + 1:before + during]) if len(progress) >= before + during else None

    figures = interleaved(pair, measure)
    return "## The backend's part alone\n\n" \
        f"`pgbench -S -M prepared -c {CLIENTS} -j {CORES}`; throughput in the seconds in which the audit writer is stopped (SIGSTOP) and the rings\n" \
        f"(`warden.spool_size = {RING_MB}MB`) take the records. Goal: 0.97.\n\n" + \
        table(["", "median tps", "ratio to bare", "ratios of the rounds"],
              [["bare", middle(figures["bare"]), "1.000", ""],
               ["pg_warden, writer stopped", middle(figures["warden"]), ratio(figures, "warden"),
                " ".join(f"{w / b:.3f}" for b, w in zip(figures["bare"], figures["warden"]) if b and w)]])


# --- statement classes ---------------------------------------------------------------------------------------------------

CLASSES = {
    "SELECT by key": "\\set aid random(1, 1000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;",
    "SELECT of 1,000 rows": "\\set aid random(1, 990000)\nSELECT * FROM pgbench_accounts WHERE aid BETWEEN :aid AND :aid + 999;",
    "join and aggregate": "\\set aid random(1, 990000)\nSELECT b.bid, sum(a.abalance) FROM pgbench_accounts a JOIN pgbench_branches b USING (bid) "
                          "WHERE a.aid BETWEEN :aid AND :aid + 99 GROUP BY b.bid;",
    "INSERT": "INSERT INTO side VALUES (1, 'a row of text');",
    "INSERT of 100 rows": "INSERT INTO side SELECT g, 'a row of text' FROM generate_series(1, 100) g;",
    "UPDATE by key": "\\set aid random(1, 1000000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;",
    "DELETE by key": "\\set aid random(1, 1000000)\nDELETE FROM side WHERE n = :aid + 2000000;",
    "MERGE": "\\set aid random(1, 1000000)\nMERGE INTO pgbench_accounts a USING (SELECT :aid::int AS aid) s ON a.aid = s.aid "
             "WHEN MATCHED THEN UPDATE SET abalance = a.abalance + 1;",
    "BEGIN; SELECT; COMMIT": "\\set aid random(1, 1000000)\nBEGIN;\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\nCOMMIT;",
    "PL/pgSQL, 10 statements inside": "SELECT ten_inside();",
    "CREATE and DROP of a temporary table": "CREATE TEMP TABLE scratch (a int);\nDROP TABLE scratch;",
    "SET": "SET work_mem = '5MB';",
}


def classes(clusters):
    place = tempfile.mkdtemp()
    rows = []
    try:
        for title, script in CLASSES.items():
            path = os.path.join(place, "script.sql")
            with open(path, "w", encoding="utf-8") as f:
                f.write(script + "\n")
            settle(clusters)
            say(f"  {title}")
            figures = interleaved(clusters, lambda c: c.pgbench("-M", "prepared", "-f", path, seconds=max(2, SECONDS // 2)), max(3, ROUNDS // 2))
            rows.append([title, middle(figures["bare"])] + [ratio(figures, n) if n in figures else "–" for n in ("warden", "pgaudit")])
    finally:
        shutil.rmtree(place)
    return "## By class of statement\n\n" \
        f"Transactions per second as a ratio to bare, `-M prepared -c {CLIENTS} -j {CORES}`, the writer (pgaudit: the log collector) on the same cores.\n\n" + \
        table(["", "bare tps", "pg_warden", "pgaudit, log = all"], rows)


# --- the writer against COPY ------------------------------------------------------------------------------------------------

def writer_rate(clusters):
    warden = clusters["warden"]
    rates, copies, sizes = [], [], []
    for _ in range(max(3, ROUNDS // 2)):
        settle({"warden": warden})
        warden.pgbench("-S", "-M", "prepared", seconds=1)   # a writer is there
        flush(warden)
        first = int(warden.sql("SELECT warden.flush()"))
        stopped = warden.writer()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        warden.pgbench("-S", "-M", "prepared", seconds=4)
        started = time.monotonic()
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        last = int(warden.sql("SELECT warden.flush('120 seconds')"))
        rates.append((last - first) / (time.monotonic() - started))
        partition = warden.sql("SELECT c.oid::regclass FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid "
                               "WHERE i.inhparent = 'warden.audit_record'::regclass ORDER BY pg_relation_size(c.oid) DESC LIMIT 1")
        path = os.path.join(warden.place, "rows")
        copy_rate(warden, partition, first, last, path, copies, sizes)
    return "## The writer beside COPY\n\n" \
        "Records that waited in the rings, written by the audit writer with nothing else running, against `COPY FROM` (text format, from a file) of the same rows\n" \
        "into a table of the same columns and indexes, without triggers. Goal: 0.7.\n\n" + \
        table(["", "rows/s"], [["audit writer, hash chain included", middle(rates)], ["COPY", middle(copies)],
                               ["**ratio**", f"{median(r / c for r, c in zip(rates, copies)):.2f}" if copies else "–"],
                               ["bytes per record in the table", middle(sizes)]])


def copy_rate(warden, partition, first, last, path, copies, sizes):
    script = f"""
        SELECT warden.break_glass('benchmark: copies records to a scratch table');
        DROP TABLE IF EXISTS public.records_copy;
        CREATE TABLE public.records_copy (LIKE {partition} INCLUDING ALL);
        COPY (SELECT * FROM {partition} WHERE seq > {first} AND seq <= {last}) TO '{path}';
        CHECKPOINT;
        SELECT clock_timestamp() AS t0 \\gset
        COPY public.records_copy FROM '{path}';
        SELECT 'RATE ' || {last - first} / extract(epoch FROM clock_timestamp() - :'t0'::timestamptz);
        SELECT 'SIZE ' || pg_relation_size('public.records_copy') / greatest(1, (SELECT count(*) FROM public.records_copy));
        DROP TABLE public.records_copy;
    """
    done = subprocess.run([f"{BINDIR}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", warden.place, "-U", "postgres", "-d", "bench"],
                          input=script, capture_output=True, text=True, check=False)
    rate, size = re.search(r"^RATE ([\d.]+)", done.stdout, re.M), re.search(r"^SIZE ([\d.]+)", done.stdout, re.M)
    if done.returncode or not rate:
        problems.append("COPY beside the writer: " + (done.stderr.strip().splitlines() or ["no result"])[-1])
        return
    copies.append(float(rate.group(1)))
    sizes.append(float(size.group(1)))


# --- many connections, starting them, their memory ---------------------------------------------------------------------------

def many(clusters):
    settle(clusters)
    figures = interleaved(clusters, lambda c: c.pgbench("-S", "-M", "prepared", clients=100))
    return "## 100 connections\n\n`pgbench -S -M prepared -c 100`\n\n" + \
        table(["", "median tps", "ratio to bare"], [[n, middle(f), ratio(figures, n)] for n, f in figures.items()])


def connect(clusters):
    settle(clusters)
    path = os.path.join(clusters["bare"].place, "one.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write("SELECT 1;\n")
    os.chmod(path, 0o644)
    figures = interleaved(clusters, lambda c: c.pgbench("-C", "-f", path))
    return "## Starting connections\n\n`pgbench -C` with `SELECT 1`: a connection per transaction. Goal: within 3 % (0.97).\n\n" + \
        table(["", "connections/s", "ratio to bare"], [[n, middle(f), ratio(figures, n)] for n, f in figures.items()])


def memory(clusters):
    rows = []
    for name, cluster in clusters.items():
        client = subprocess.Popen([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "app", "-d", "bench"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        client.stdin.write("".join(f"SELECT abalance FROM pgbench_accounts WHERE aid = {i};\n" for i in range(1, 2000)) + "SELECT 'PID ' || pg_backend_pid();\n")
        client.stdin.flush()
        pid = None
        for line in client.stdout:
            if line.startswith("PID "):
                pid = int(line.split()[1])
                break
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            private = sum(int(x) for x in re.findall(r"^Anonymous:\s+(\d+) kB", f.read(), re.M))
        client.stdin.close()
        client.wait()
        rows.append([name, f"{private:,}"])
    return "## Memory of a backend\n\nAnonymous memory (kB) after 2,000 statements, pages shared with the postmaster until they are written included; its ring is the\nfile's and not among it.\n\n" + \
        table(["", "kB"], rows)


def verification(clusters):
    """The whole chain, in one pass; memory of the backend before and after."""
    cluster = clusters["warden"]
    flush(cluster)
    client = subprocess.Popen([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "postgres", "-d", "bench"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(text):
        client.stdin.write(text + "\n")
        client.stdin.flush()
        return client.stdout.readline().strip()

    pid = ask("SELECT pg_backend_pid();")

    def anonymous():
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            return int(re.search(r"^Anonymous:\s+(\d+) kB", f.read(), re.M).group(1))

    ask("SELECT count(*) FROM warden.audit_log WHERE seq < 10;")
    before = anonymous()
    started = time.monotonic()
    ok, records, _, problem = ask("SELECT * FROM warden.verify_audit();").split("|")
    seconds = time.monotonic() - started
    after = anonymous()
    client.stdin.close()
    client.wait()
    if ok != "t":
        problems.append(f"warden.verify_audit(): {problem}")
    return "## Verification\n\n" + table(["", ""], [
        ["records verified", f"{int(records):,}"], ["seconds", f"{seconds:.1f}"], ["records/s", f"{int(records) / seconds:,.0f}"],
        ["memory of the backend before and after, kB", f"{before:,} → {after:,}"]])


def power(clusters):
    """warden.audit_durability = power beside crash, each against bare."""
    pair = {n: clusters[n] for n in ("bare", "warden")}
    rows = []
    for title, options in (("pgbench -S -M prepared", ("-S", "-M", "prepared")), ("pgbench -M prepared (TPC-B)", ("-M", "prepared"))):
        figures = {}
        for mode in ("crash", "power"):
            pair["warden"].configure(f"warden.audit_durability = {mode}")
            pair["warden"].sql("SELECT pg_reload_conf()")
            time.sleep(0.5)
            settle(pair)
            figures[mode] = interleaved(pair, lambda c: c.pgbench(*options), max(3, ROUNDS // 2))
        rows.append([title, middle(figures["crash"]["bare"]), ratio(figures["crash"], "warden"), ratio(figures["power"], "warden")])
    pair["warden"].configure("warden.audit_durability = crash")
    pair["warden"].sql("SELECT pg_reload_conf()")
    return "## audit_durability\n\nRatio to bare. `power` flushes to disk before a result or a commit is acknowledged.\n\n" + \
        table(["", "bare tps", "crash", "power"], rows)


# --- the run ---------------------------------------------------------------------------------------------------------------

def prepare(cluster):
    cluster.sql("CREATE DATABASE bench", "postgres")
    run([f"{BINDIR}/pgbench", "-i", "-q", "-s", "10", "-h", cluster.place, "-U", "postgres", "bench"])
    cluster.sql("CREATE ROLE app LOGIN; CREATE TABLE side (n int, t text); "
                "CREATE FUNCTION ten_inside() RETURNS int LANGUAGE plpgsql AS $$ DECLARE s int := 0; b int; BEGIN "
                "FOR i IN 1..10 LOOP SELECT abalance INTO b FROM pgbench_accounts WHERE aid = i; s := s + b; END LOOP; RETURN s; END $$; "
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app; GRANT CREATE, TEMP ON DATABASE bench TO app")
    cluster.sql("VACUUM (FREEZE, ANALYZE)")
    if cluster.name == "pgaudit":
        cluster.sql("CREATE EXTENSION pgaudit")
    if cluster.name == "warden":
        cluster.sql("CREATE EXTENSION pg_warden")


PART_FUNCTIONS = {"backend": backend_part, "classes": classes, "writer": writer_rate, "many": many, "connect": connect, "memory": memory, "verify": verification, "power": power}


def main():
    unknown = [p for p in PARTS if p not in PART_FUNCTIONS]
    if unknown:
        raise SystemExit(f"bench: BENCH_PARTS: unknown {unknown}; known: {' '.join(PART_FUNCTIONS)}")
    place = tempfile.mkdtemp(prefix="pgw-details.")
    os.chmod(place, 0o755)
    clusters = {}
    try:
        for name, settings in VARIANTS.items():
            if name == "pgaudit" and not os.path.exists(f"{SHAREDIR}/extension/pgaudit.control"):
                say("bench: pgaudit is not installed: left out")
                continue
            if name == "warden":
                settings += f"warden.spool_size = '{RING_MB}MB'\n" if "backend" in PARTS or "writer" in PARTS else ""
            clusters[name] = Cluster(place, name, settings)
            prepare(clusters[name])
        # Large rings for what needs them first; then those of the default.
        sections = []
        large = [p for p in PARTS if p in ("backend", "writer")]
        for i, part in enumerate(large + [p for p in PARTS if p not in large]):
            if i == len(large) and large:
                flush(clusters["warden"])
                clusters["warden"].configure("warden.spool_size = '1MB'")
                clusters["warden"].restart()
            say(f"bench: {part}")
            sections.append(PART_FUNCTIONS[part](clusters))
        holes = clusters["warden"].sql("SELECT max(seq) - min(seq) + 1 - count(*) FROM warden.audit_log")
        if holes != "0":
            problems.append(f"{holes} holes or doubles in seq")
    finally:
        for cluster in clusters.values():
            cluster.stop()
        shutil.rmtree(place, ignore_errors=True)
    return report("DETAILS.md", "Benchmark details", sections)


if __name__ == "__main__":
    sys.exit(main())
