#!/usr/bin/env python3
"""Mutants of the code that `cargo mutants` lists, all in one build.

One build for each mutant takes a minute here, and there are hundreds. So every
function is compiled with all of its mutants, and an environment variable says
which one runs:

1. `cargo mutants --list` says what to change (`.cargo/mutants.toml`).
2. In a copy of the tree each function becomes a match over its mutants.
   Mutants that do not compile are taken out until the rest does.
3. Without a mutant all tests must pass; that also tells what they cost.
4. The mutants run in an order drawn from a seed, so that whatever is done
   when time is up is an honest sample: the tests one after another, the
   cheapest first, until one fails. One that needs far more processor time
   than the tests do counts as caught.

What was caught stays caught as long as its function does not change; what was
missed runs again. Mutants of constants cannot be switched and are named at the
end. Nothing outside of the folder `target/mutants-code` is written.
"""

import argparse
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SWITCH = "SHAODAO_MUTANT"
CLOCKS = ("/calendar.rs", "/deadline.rs", "/holidays.rs", "/lease.rs", "/limit.rs", "/time.rs")
RIGHTS = ("/available.rs", "/record.rs", "/rights.rs")
LADDER = ("/deadline.rs", "/escalation.rs", "/ladder.rs", "/rules.rs")
SERVER = ("/escalate.rs", "/timers.rs")
# Test binaries, the cheapest first; which of their tests; for which files: the
# fewest that look at what is in them.
TESTS = [
    ("shaodao_core", [], CLOCKS + RIGHTS + LADDER),
    ("rights", [], RIGHTS),
    ("deadlines", [], CLOCKS + LADDER),
    ("clocks", [], CLOCKS + ("/timers.rs",)),
    ("lifecycles", [], RIGHTS),
    ("ladder", [], LADDER),
    ("stories", ["::ladder", "::escalation", "::requests", "::policy"], LADDER),
    ("stories", ["::ladder", "::escalation", "::server_clock", "::doubles", "::restore"], SERVER),
    ("interleavings", [], LADDER + SERVER),
    ("exactly_once", [], SERVER),
]

RUNTIME = """

/// Which mutant runs: see `tests/mutants-code.py`.
#[doc(hidden)]
pub fn mutant() -> u32 {
    static NUMBER: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *NUMBER.get_or_init(|| {
        let number = std::env::var("%s").unwrap_or_default();
        number.parse().unwrap_or(0)
    })
}
""" % SWITCH


def main():
    options = arguments()
    work = options.work
    tree, source = work / "tree", work / "src"
    for folder in (tree, source):
        copy_tree(folder)
    mutants = listed(tree, options.only)
    programs = build(tree, source, mutants, work / "unviable.json")
    viable = [mutant for mutant in mutants if not mutant["unviable"]]
    print(f"{len(mutants)} mutants, {len(viable)} of them run", flush=True)
    cost = baseline(source, programs)
    results = known(work / "results.jsonl")
    order = sorted(viable, key=lambda mutant: mutant["key"])
    random.Random(options.seed).shuffle(order)
    until = time.time() + options.minutes * 60
    with open(work / "results.jsonl", "a", encoding="utf-8") as log:
        for mutant in order:
            earlier = results.get(mutant["key"])
            if earlier and (earlier["by"] or options.keep):
                continue
            if time.time() > until:
                break
            by = run(source, programs, cost, mutant)
            result = {"key": mutant["key"], "name": mutant["name"], "by": by}
            results[mutant["key"]] = result
            log.write(json.dumps(result, ensure_ascii=False) + "\n")
            log.flush()
            if not by:
                print(f"missed: {mutant['name']}", flush=True)
    return report(mutants, viable, results)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "target/mutants-code")
    parser.add_argument("--seed", default="shaodao")
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--only", default="", help="part of a file's path")
    parser.add_argument("--keep", action="store_true", help="what was missed does not run again")
    return parser.parse_args()


def copy_tree(folder):
    """The tracked files as they are now; unchanged ones keep their time."""
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT).decode()
    for name in filter(None, tracked.split("\0")):
        original = ROOT / name
        if original.is_file():
            write(folder / name, original.read_bytes())


def write(path, content):
    if not (path.is_file() and path.read_bytes() == content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def listed(tree, only):
    command = ["cargo", "mutants", "--list", "--json", "--no-config"]
    globs = re.search(r"examine_globs = \[(.*?)\]", (ROOT / ".cargo/mutants.toml").read_text(), re.S)
    for name in re.findall(r'"(.*?)"', globs.group(1)):
        if only in name:
            command += ["-f", name]
    mutants = json.loads(subprocess.check_output(command, cwd=tree))
    for number, mutant in enumerate(mutants, 1):
        mutant["number"] = number
        mutant["unviable"] = mutant["function"] is None
    return mutants


class Text:
    """A source file in which places are lines and columns."""

    def __init__(self, text):
        self.text = text
        self.lines = [0]
        for at, char in enumerate(text):
            if char == "\n":
                self.lines.append(at + 1)

    def at(self, place):
        return self.lines[place["line"] - 1] + place["column"] - 1

    def span(self, span):
        return self.at(span["start"]), self.at(span["end"])


def body_start(text, start, end):
    """Where the body of a function begins: its first brace outside comments,
    attributes and brackets."""
    depth = 0
    at = start
    while at < end:
        if text.startswith("//", at):
            at = text.index("\n", at)
        elif text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
        elif text[at] == "{" and depth == 0:
            return at
        at += 1
    return None


def build(tree, source, mutants, unviable):
    """Builds the tests over all mutants at once, without the mutants that do
    not compile; returns the paths of the test binaries. What did not compile
    before is not tried again."""
    before = set(json.loads(unviable.read_text())) if unviable.is_file() else set()
    for mutant in mutants:
        mutant["unviable"] |= mutant["name"] in before
    by_file = defaultdict(list)
    for mutant in mutants:
        by_file[mutant["file"]].append(mutant)
    while True:
        arms = {name: rewrite(tree, source, name, here) for name, here in by_file.items()}
        entry = (tree / "core/src/lib.rs").read_text() + RUNTIME
        write(source / "core/src/lib.rs", entry.encode())
        programs, errors = compiled(source)
        if not errors:
            return programs
        dropped = 0
        for name, line in errors:
            for first, last, mutant in arms.get(name, ()):
                if first <= line <= last and not mutant["unviable"]:
                    mutant["unviable"] = True
                    dropped += 1
        names = [mutant["name"] for mutant in mutants if mutant["unviable"]]
        unviable.write_text(json.dumps(names))
        print(f"{dropped} do not compile", flush=True)
        if not dropped:
            sys.exit(f"the copy does not compile: {errors[:5]}")


def rewrite(tree, source, name, mutants):
    """Writes a file with its mutants; returns the lines of each of them."""
    file = Text((tree / name).read_text())
    text = file.text
    functions = defaultdict(list)
    for mutant in mutants:
        if mutant["function"] is None:
            continue
        start, end = file.span(mutant["function"]["span"])
        open_at = body_start(text, start, end)
        if "const fn" in text[start:open_at]:
            mutant["unviable"] = True
            continue
        functions[(open_at, end)].append(mutant)
    out, marks, at = [], [], 0
    for (open_at, end), here in sorted(functions.items()):
        if open_at < at:
            # A function within one that has mutants of its own.
            for mutant in here:
                mutant["unviable"] = True
            continue
        body = text[open_at + 1 : end - 1]
        switch = "crate::mutant()" if name.startswith("core/") else "shaodao_core::mutant()"
        out.append(text[at : open_at + 1] + f"\nmatch {switch} {{\n")
        for mutant in here:
            first, last = file.span(mutant["span"])
            changed = text[open_at + 1 : first] + mutant["replacement"] + text[last : end - 1]
            identity = name + mutant["function"]["function_name"] + body + "\0" + changed
            mutant["key"] = hashlib.sha256(identity.encode()).hexdigest()[:16]
            if mutant["unviable"]:
                continue
            marks.append((len(out), mutant))
            out.append(f"{mutant['number']} => {{\n{changed}\n}}\n")
        out.append(f"_ => {{{body}}}\n}}\n}}")
        at = end
    out.append(text[at:])
    lines, line = [], 1
    for part in out:
        lines.append((line, line + part.count("\n") - 1))
        line += part.count("\n")
    write(source / name, "".join(out).encode())
    return [(*lines[nth], mutant) for nth, mutant in marks]


def compiled(source):
    """The test binaries by name, or the files and lines of the errors."""
    environment = dict(os.environ, CARGO_PROFILE_DEV_OPT_LEVEL="1", CARGO_PROFILE_DEV_DEBUG="0")
    environment.pop("CARGO_TARGET_DIR", None)
    command = ["cargo", "test", "--no-run", "--message-format=json"]
    command += ["-p", "shaodao-core", "-p", "shaodao-server", "-p", "shaodao-tests", "--lib"]
    for name in sorted({name for name, *_ in TESTS[1:]}):
        command += ["--test", name]
    done = subprocess.run(
        command, cwd=source, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    programs, errors = {}, []
    for line in done.stdout.splitlines():
        said = json.loads(line)
        message = said.get("message") or {}
        if message.get("level") == "error":
            errors += [(span["file_name"], span["line_start"]) for span in message["spans"]]
        if said.get("executable") and said["profile"]["test"]:
            programs[said["target"]["name"]] = said["executable"]
    if done.returncode and not errors:
        errors.append(("nowhere in particular", 0))
    return programs, errors


def start(source, program, words, number, seconds):
    """Runs one test binary until a test fails; returns whether all passed, and
    what it cost in processor time."""
    package = "core" if "shaodao_core" in program else "tests"
    environment = dict(os.environ, **{SWITCH: str(number)})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

    with subprocess.Popen(
        [program, *words], cwd=source / package, env=environment, preexec_fn=limit, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as running:
        # What waits for something that never comes uses no time of its own.
        patience = threading.Timer(seconds * 60, os.killpg, (running.pid, 9))
        patience.start()
        failed = any(line.endswith("FAILED\n") for line in running.stdout)
        if failed:
            os.killpg(running.pid, 9)
        passed = running.wait() == 0 and not failed
        patience.cancel()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def baseline(source, programs):
    cost = []
    for name, words, _ in TESTS:
        passed, seconds = start(source, programs[name], words, 0, 1_000)
        if not passed:
            sys.exit(f"{name} fails without a mutant")
        cost.append(seconds)
        print(f"{name}: {seconds:.1f} s", flush=True)
    return cost


def run(source, programs, cost, mutant):
    """The test binary that catches the mutant, or nothing."""
    for (name, words, files), usual in zip(TESTS, cost):
        if mutant["file"].endswith(files):
            seconds = int(10 + 5 * usual)
            passed, used = start(source, programs[name], words, mutant["number"], seconds)
            if not passed:
                return name if used < seconds - 1 else f"{name} (too long)"
    return None


def known(path):
    if not path.is_file():
        return {}
    results = (json.loads(line) for line in path.read_text().splitlines())
    return {result["key"]: result for result in results}


def report(mutants, viable, results):
    total, caught = Counter(), Counter()
    for mutant in viable:
        result = results.get(mutant["key"])
        if result:
            total[mutant["file"]] += 1
            caught[mutant["file"]] += bool(result["by"])
            if not result["by"]:
                print(f"missed: {mutant['name']}")
    for name in sorted(total):
        print(f"{name}: {caught[name]} of {total[name]}")
    for mutant in mutants:
        if "key" not in mutant:
            print(f"not run, outside of functions: {mutant['name']}")
    ran, good = total.total(), caught.total()
    share = f"{100 * good / ran:.1f} %" if ran else "—"
    print(f"{good} of {ran} caught ({share}); {len(viable)} compile, {len(mutants)} listed")
    return 0 if ran and good * 10 >= ran * 9 else 1


if __name__ == "__main__":
    sys.exit(main())
