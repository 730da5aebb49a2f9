#!/usr/bin/env python3
"""Compares what PostgreSQL's tests printed on a bare server and on a governed one.

    compare.py SUITE BARE GOVERNED KNOWN

BARE and GOVERNED are folders of .out files. KNOWN lists the differences that are meant; known-differences.txt says how.
Prints the differences that are not, and fails where there is one.
"""
import difflib
import pathlib
import re
import sys


class Known:
    """Differences that are meant: which lines of which test."""

    def __init__(self, path, suite):
        self.patterns = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                in_suite, test, pattern = line.split(None, 2)
                compiled = re.compile(pattern)
            except (ValueError, re.error) as error:
                sys.exit(f"{path.name}:{number}: {error}")
            if in_suite in (suite, "*"):
                self.patterns.append([test, compiled, number, False])

    def explains(self, test, line):
        for entry in self.patterns:
            if entry[0] in (test, "*") and entry[1].search(line):
                entry[3] = True
                return True
        return False

    def unused(self, tests):
        return [f"{entry[0]} {entry[1].pattern}" for entry in self.patterns if entry[0] in tests and not entry[3]]


def changed_lines(bare, governed):
    """The lines of a diff that differ, '-…' and '+…', in order."""
    diff = difflib.unified_diff(bare.splitlines(), governed.splitlines(), lineterm="", n=0)
    return [line for line in diff if line[:1] in "+-" and not line.startswith(("---", "+++"))]


def text(path):
    return path.read_text(encoding="utf-8", errors="backslashreplace")


def main():
    suite, bare, governed, known_path = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
    known = Known(known_path, suite)
    tests = sorted(path.stem for path in bare.glob("*.out"))
    if not tests:
        sys.exit(f"{suite}: no results in {bare}")
    same = explained = failed = 0
    for test in tests:
        other = governed / f"{test}.out"
        if not other.exists():
            print(f"FAILED  {test}: no result on the governed server")
            failed += 1
            continue
        differences = changed_lines(text(bare / f"{test}.out"), text(other))
        unknown = [line for line in differences if not known.explains(test, line)]
        if unknown:
            failed += 1
            print(f"FAILED  {test}:")
            for line in unknown[:60]:
                print("        " + line)
        elif differences:
            explained += 1
        else:
            same += 1
    for entry in known.unused(tests):
        print(f"not seen any more: {entry}")
    print(f"{suite}: {len(tests)} tests, {same} print the same, {explained} differ as known, {failed} FAILED")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
