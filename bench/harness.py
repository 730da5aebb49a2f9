"""What the benchmarks share: private clusters, one loaded at a time, rounds interleaved, ratios. See README.md."""
import os
import re
import shutil
import subprocess
import sys
import time
from statistics import median

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
OUT = os.environ.get("BENCH_OUT", HERE)
CORES = os.cpu_count() or 1
CLIENTS = 4 * CORES
PG_CONFIG = os.environ.get("PG_CONFIG", "pg_config")
BINDIR = subprocess.run([PG_CONFIG, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
SHAREDIR = subprocess.run([PG_CONFIG, "--sharedir"], capture_output=True, text=True, check=True).stdout.strip()
AS_SERVER = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

SETTINGS = """
listen_addresses = ''
max_connections = 120
shared_buffers = 512MB
autovacuum = off
checkpoint_timeout = 1h
min_wal_size = 1GB
max_wal_size = 8GB
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql.log'
log_rotation_age = 0
log_rotation_size = 0
"""

problems = []


def say(text):
    print(text, file=sys.stderr, flush=True)


class Cluster:
    """A private server: own directory, own Unix socket."""

    def __init__(self, place, name, settings):
        self.name, self.place = name, os.path.join(place, name)
        os.mkdir(self.place)
        if AS_SERVER:
            shutil.chown(self.place, "postgres", "postgres")
        self.data = os.path.join(self.place, "data")
        run(AS_SERVER + [f"{BINDIR}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"])
        self.configure(SETTINGS + settings + f"unix_socket_directories = '{self.place}'\n")
        self.start()

    def configure(self, lines):
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
            conf.write("\n" + lines + "\n")

    def start(self):
        run(AS_SERVER + [f"{BINDIR}/pg_ctl", "-D", self.data, "-l", os.path.join(self.place, "start.log"), "-w", "-s", "start"])

    def stop(self):
        subprocess.run(AS_SERVER + [f"{BINDIR}/pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-s", "stop"], check=False)

    def restart(self):
        run(AS_SERVER + [f"{BINDIR}/pg_ctl", "-D", self.data, "-l", os.path.join(self.place, "start.log"), "-w", "-s", "-m", "fast", "restart"])

    def sql(self, text, database="bench", role="postgres"):
        return run([f"{BINDIR}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.place, "-U", role, "-d", database, "-c", text])

    def pgbench(self, *options, clients=CLIENTS, jobs=CORES, seconds=SECONDS):
        """Transactions per second; the progress lines are in `self.progress`."""
        done = subprocess.run(
            [f"{BINDIR}/pgbench", "-n", "-h", self.place, "-U", "app", "-c", str(clients), "-j", str(min(jobs, clients)),
             "-T", str(seconds), *options, "bench"], capture_output=True, text=True, check=False)
        self.progress = [float(x) for x in re.findall(r"progress: [\d.]+ s, ([\d.]+) tps", done.stderr)]
        tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
        if done.returncode or not tps:
            problems.append(f"{self.name}: pgbench {' '.join(options)}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
            return None
        return float(tps.group(1))

    def truncate_log(self):
        """pgaudit fills the server log; its size is not what is measured here."""
        log = os.path.join(self.data, "log", "postgresql.log")
        if os.path.exists(log):
            os.truncate(log, 0)

    def writer(self):
        pids = self.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warden writer'").split()
        return [int(p) for p in pids]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def flush(cluster):
    cluster.sql("SELECT warden.flush('120 seconds')")


def settle(clusters):
    for c in clusters.values():
        if c.name == "warden":
            flush(c)
        c.sql("CHECKPOINT")
        c.truncate_log()


def interleaved(clusters, measure, rounds=ROUNDS):
    """{variant: [figure per round]}, the order turned from round to round."""
    figures = {name: [] for name in clusters}
    names = list(clusters)
    for r in range(rounds):
        for name in names[r % len(names):] + names[:r % len(names)]:
            figures[name].append(measure(clusters[name]))
            if name == "warden":
                flush(clusters[name])
    return figures


def ratio(figures, name, inverse=False):
    """Median over rounds of the variant against bare."""
    pairs = [(b, x) for b, x in zip(figures["bare"], figures[name]) if b and x]
    if not pairs:
        return "–"
    return f"{median((b / x if inverse else x / b) for b, x in pairs):.3f}"


def middle(values, form="{:,.0f}"):
    values = [v for v in values if v is not None]
    return form.format(median(values)) if values else "–"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def report(name, title, sections):
    """Writes bench/NAME and prints it; the exit code."""
    head = f"# {title}\n\nWritten by bench/{os.path.basename(sys.argv[0])}. Do not edit.\n\n" \
        f"{time.strftime('%Y-%m-%d')}, {CORES} cores, {run([f'{BINDIR}/postgres', '--version'])}, {ROUNDS} rounds of {SECONDS} s.\n\n"
    head += "".join(f"**CHECK FAILED:** {p}\n\n" for p in problems)
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        f.write(head + "\n".join(sections))
    print(head + "\n".join(sections))
    return 1 if problems else 0
