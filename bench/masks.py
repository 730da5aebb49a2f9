#!/usr/bin/env python3
"""What masks cost: each method, masked reads beside a view written by hand, the redirection of a plan. See README.md.

Writes MASKS.md beside this file, or where BENCH_OUT says. Timings are reported, never asserted; that columns come out
masked is checked, and the exit code says so.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from statistics import median

from harness import BINDIR, CLIENTS, CORES, ROUNDS, Cluster, interleaved, middle, problems, ratio, report, say, settle, table

PARTS = os.environ.get("BENCH_PARTS", "methods reads planning").replace(",", " ").split()
ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
SETTINGS = "shared_preload_libraries = 'pg_warden'\nwarden.audit = 'none'\nmax_parallel_workers_per_gather = 0\njit = off\n"

# method, options, column, the same or the nearest in SQL alone
METHODS = [
    ("redact", "{}", "name", "'[redacted]'::text"),
    ("null", "{}", "name", "NULL::text"),
    ("partial", '{"prefix": 2, "suffix": 2, "fill": "***"}', "phone", "left(phone, 2) || '***' || right(phone, 2)"),
    ("email", "{}", "email", "left(email, 1) || '***@***.' || reverse(split_part(reverse(email), '.', 1))"),
    ("last4", "{}", "phone", "repeat('*', length(phone) - 4) || right(phone, 4)"),
    ("hash", "{}", "email", "encode(sha256(convert_to('key' || email, 'UTF8')), 'hex')"),
    ("fake", '{"kind": "name"}', "name", "(ARRAY['Ann','Bob','Cleo'])[1 + abs(hashtext(name) % 3)] || ' Smith'"),
    ("year", "{}", "born", "date_trunc('year', born)::date"),
    ("round", '{"to": 1000}', "salary", "round(salary / 1000) * 1000"),
    ("noise", '{"percent": 10}', "salary", "salary * (0.9 + (hashtext(salary::text)::bigint + 2147483648) / 21474836480.0)"),
    ("ip_prefix", "{}", "addr", "host(network(set_masklen(addr, 24)))::inet"),
    ("json", '{"paths": ["$.email"]}', "doc", "jsonb_set(doc, '{email}', '\"[redacted]\"')"),
    ("scrub", "{}", "note", r"regexp_replace(note, '[\w.]+@[\w.]+', '[email]', 'g')"),
    ("expression", '{"sql": "upper(left(city, 1))"}', "city", "upper(left(city, 1))"),
]

PREPARE = f"""
CREATE EXTENSION pg_warden; CREATE ROLE app LOGIN;
CREATE TABLE people AS SELECT i AS id, 'Name ' || i AS name, 'user' || i || '@mail.example.com' AS email,
    '+4420' || 10000000 + i AS phone, date '1950-01-01' + i % 20000 AS born, (20000 + i % 90000)::numeric AS salary,
    '10.0.0.0'::inet + i AS addr, jsonb_build_object('email', 'user' || i || '@x.example', 'n', i) AS doc,
    'write to user' || i || '@x.example today' AS note, 'city' || i % 100 AS city FROM generate_series(1, {ROWS}) i;
ALTER TABLE people ADD PRIMARY KEY (id);
CREATE TABLE orders AS SELECT i AS id, 1 + i % {ROWS} AS person, i AS total FROM generate_series(1, {ROWS}) i;
ALTER TABLE orders ADD PRIMARY KEY (id); CREATE INDEX ON orders (person);
CREATE TABLE items AS SELECT i AS id, 1 + i % {ROWS} AS ord, 'thing ' || i AS label FROM generate_series(1, {ROWS}) i;
ALTER TABLE items ADD PRIMARY KEY (id); CREATE INDEX ON items (ord);
CREATE TABLE bare (LIKE people INCLUDING ALL); INSERT INTO bare TABLE people;
CREATE VIEW byhand AS SELECT id, '[redacted]'::text AS name, left(email, 1) || '***@***.'
    || reverse(split_part(reverse(email), '.', 1)) AS email, phone, born, salary, addr, doc, note, city FROM bare;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO app;
"""


def prepare(place):
    cluster = Cluster(place, "masked", SETTINGS)
    cluster.sql("CREATE DATABASE bench", "postgres")
    cluster.sql(PREPARE)
    cluster.sql("VACUUM (FREEZE, ANALYZE)")
    return cluster


def timings(cluster, *statements):
    """Milliseconds of each statement of one session of `app`."""
    script = "\\timing on\n" + "".join(s + ";\n" for s in statements)
    done = subprocess.run([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "app", "-d", "bench"], input=script,
                          capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        problems.append(f"psql: {done.stderr.strip()}")
    return [float(x) for x in re.findall(r"^Time: ([\d.]+) ms", done.stdout, re.M)]


# --- each method ---------------------------------------------------------------------------------------------------------

def mask(cluster, method, options, column):
    """False where this version has no such method, which the report says."""
    done = subprocess.run([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "postgres", "-d", "bench", "-c",
                           f"SELECT warden.mask('public.people.{column}', '{method}', $o${options}$o$)"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        problems.append(f"{method}: {done.stderr.strip().splitlines()[0]}")
    return not done.returncode


def methods(cluster):
    """count() of the column makes every value and keeps none."""
    rows = []
    for method, options, column, by_hand in METHODS:
        if not mask(cluster, method, options, column):
            continue
        say(f"  {method}")
        pairs = []
        for _ in range(ROUNDS):
            masked, plain = timings(cluster, f"SELECT count({column}::text) FROM people",
                                    f"SELECT count(({by_hand})::text) FROM bare")
            pairs.append((masked, plain))
        rows.append([method, f"{median(m for m, _ in pairs):,.0f}", f"{median(p for _, p in pairs):,.0f}",
                     f"{median(m / p for m, p in pairs):.2f}"])
        cluster.sql(f"SELECT warden.unmask('public.people.{column}')")
    return f"## Methods\n\nMilliseconds for {ROWS:,} values, one process, beside SQL that gives the same or comes nearest to it (a keyed hash beside\n" \
        "one without a key's schedule, a name from a list of three).\n\n" + \
        table(["method", "masked, ms", "SQL, ms", "masked / SQL"], rows)


# --- reads ---------------------------------------------------------------------------------------------------------------

READS = [
    ("point select, prepared", "SELECT name, email FROM {} WHERE id = :id", "prepared"),
    ("point select, simple", "SELECT name, email FROM {} WHERE id = :id", "simple"),
    ("range of 100 rows, prepared", "SELECT id, email FROM {} WHERE id BETWEEN :id AND :id + 100", "prepared"),
    ("scan of 100,000 rows", "SELECT count(email) FROM {} WHERE id <= least(100000, :id + 100000)", "prepared"),
    ("join of three tables, prepared", "SELECT p.email, o.total, i.label FROM {} p JOIN orders o ON o.person = p.id "
     "JOIN items i ON i.ord = o.id WHERE p.id = :id", "prepared"),
]


class Relation:
    """One of the relations that the same query reads; what `interleaved` loads in turn."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name

    def load(self, path, mode):
        return self.cluster.pgbench("-M", mode, "-f", path)


def reads(cluster):
    """`bare` of the ratio is the view by hand; the table without masks stands beside."""
    for column, method in (("name", "redact"), ("email", "email")):
        mask(cluster, method, "{}", column)
    seen = cluster.sql("SELECT name || ' ' || email FROM people WHERE id = 7", role="app")
    if "user7" in seen or "[redacted]" not in seen:
        problems.append(f"the columns are not masked: {seen}")
    rows = []
    variants = {"bare": Relation(cluster, "byhand"), "masked": Relation(cluster, "people"), "table": Relation(cluster, "bare")}
    for title, query, mode in READS:
        say(f"  {title}")
        paths = {}
        for v in variants.values():
            paths[v.name] = os.path.join(cluster.place, f"{v.name}.sql")
            with open(paths[v.name], "w", encoding="utf-8") as f:
                f.write(f"\\set id random(1, {ROWS})\n{query.format(v.name)};\n")
            os.chmod(paths[v.name], 0o644)
        settle({"masked": cluster})
        figures = interleaved(variants, lambda v, p=paths, m=mode: v.load(p[v.name], m))
        rows.append([title, middle(figures["table"]), middle(figures["bare"]), ratio(figures, "masked")])
    plans = "".join(f"    {line}\n" for name in ("people", "bare")
                    for line in cluster.sql(f"EXPLAIN (COSTS OFF) SELECT email FROM {name} WHERE id = 7", role="app").splitlines())
    cluster.sql("SELECT warden.unmask(target) FROM warden.masks")
    return f"## Reads\n\npgbench `-c {CLIENTS} -j {CORES}`; two masked columns beside a view of built-in functions. Goal: 0.90 of it or better. PostgreSQL\n" \
        "Anonymizer's authors tell of 20 to 30 % for its dynamic masking: the figure to beat.\n\n" + \
        table(["", "no masks, tps", "view by hand, tps", "masked / view by hand"], rows) + \
        "\nThe same index, masked and bare:\n\n" + plans


# --- planning ------------------------------------------------------------------------------------------------------------

def planning(cluster):
    """EXPLAIN (SUMMARY) many times in one session each: planning time alone, in microseconds."""
    rows = []
    for title, columns in (("one masked column", ["email"]), ("five", ["email", "name", "phone", "note", "city"])):
        for column in columns:
            mask(cluster, "redact", "{}", column)
        medians = {"people": [], "bare": [], "byhand": []}
        for _ in range(ROUNDS):
            for name, found in medians.items():
                found.append(planning_time(cluster, f"SELECT email FROM {name} WHERE id = 7"))
        masked, bare, by_hand = (median(medians[n]) for n in ("people", "bare", "byhand"))
        rows.append([title, f"{bare:.0f}", f"{by_hand:.0f}", f"{masked:.0f}", f"{masked - bare:.0f}"])
        cluster.sql("SELECT warden.unmask(target) FROM warden.masks")
    return "## Planning\n\nMicroseconds, medians of `EXPLAIN (SUMMARY)` in one session. Goal: redirection under 20.\n\n" + \
        table(["", "no masks", "view by hand", "masked", "redirection"], rows)


def planning_time(cluster, query, times=400):
    done = subprocess.run([f"{BINDIR}/psql", "-XqAt", "-h", cluster.place, "-U", "app", "-d", "bench"],
                          input=f"EXPLAIN (SUMMARY) {query};\n" * times, capture_output=True, text=True, check=False)
    found = [float(x) * 1000 for x in re.findall(r"Planning Time: ([\d.]+) ms", done.stdout)]
    if not found:
        problems.append(f"no planning time: {done.stderr.strip()}")
        return 0.0
    return median(found)


PART_FUNCTIONS = {"methods": methods, "reads": reads, "planning": planning}


def main():
    unknown = [p for p in PARTS if p not in PART_FUNCTIONS]
    if unknown:
        raise SystemExit(f"bench: BENCH_PARTS: unknown {unknown}; known: {' '.join(PART_FUNCTIONS)}")
    place = tempfile.mkdtemp(prefix="pgw-masks.")
    os.chmod(place, 0o755)
    sections = []
    cluster = prepare(place)
    try:
        for part in PARTS:
            say(f"bench: {part}")
            sections.append(PART_FUNCTIONS[part](cluster))
    finally:
        cluster.stop()
        shutil.rmtree(place, ignore_errors=True)
    return report("MASKS.md", "What masks cost", sections)


if __name__ == "__main__":
    sys.exit(main())
