#!/usr/bin/env python3
"""Mutants of the code that `cargo mutants` lists, all in one build.

One build for each mutant takes minutes here, and there are hundreds. So every
function is compiled with all of its mutants, and an environment variable says
which one runs:

1. `cargo mutants --list` says what to change (`.cargo/mutants.toml`).
2. In a copy of the tree each function becomes a match over its mutants.
   Mutants that do not compile are taken out until the rest does.
3. Without a mutant every test runs by itself and must pass; that tells what it
   costs and which of the functions it reaches.
4. The mutants run in an order drawn from a seed, so that whatever is done when
   time is up is an honest sample: the tests that reach the function, one after
   another, the cheapest first, until one fails. One that needs far more time
   than the test does counts as caught, and the report says how many those are.
5. Every test that caught something runs once more without a mutant: what is
   caught by a test that fails by itself is not caught.

What was caught stays caught as long as its function does not change; what was
missed runs again. What cannot be switched (constants, `const fn`, functions
that return `impl Trait`) is named at the end. Nothing outside of the folder
`target/mutants-code` is written.
"""

import argparse
import hashlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SWITCH, REACHED = "SHAODAO_MUTANT", "SHAODAO_REACHED"
# Where the switch goes.
ENTRY = "core/src/lib.rs"
PACKAGES = ("shaodao-core", "shaodao-server", "shaodao-tests")

RUNTIME = """

/// Which mutant runs, and what a test reaches: see `tests/mutants-code.py`.
#[doc(hidden)]
pub fn mutant(reached: &'static std::sync::Once, function: &str) -> u32 {
    static NUMBER: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    reached.call_once(|| {
        if let Ok(path) = std::env::var("%s") {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.append(true).create(true).open(path).expect("a file");
            let line = format!("{function}\\n");
            std::io::Write::write_all(&mut file, line.as_bytes()).expect("room");
        }
    });
    *NUMBER.get_or_init(|| {
        let number = std::env::var("%s").unwrap_or_default();
        number.parse().unwrap_or(0)
    })
}
""" % (REACHED, SWITCH)


def main():
    options = arguments()
    work = options.work
    tree, source = work / "tree", work / "src"
    copy_tree(tree)
    copy_tree(source, without=[*settings("examine_globs"), ENTRY])
    mutants = listed(tree)
    programs = build(tree, source, mutants, work / "unviable.json")
    mutants = [mutant for mutant in mutants if options.only in mutant["name"]]
    viable = [mutant for mutant in mutants if not mutant["why"]]
    print(f"{len(mutants)} mutants, {len(viable)} of them run", flush=True)
    tests = baseline(source, programs, work, options)
    results = known(work / "results.jsonl")
    order = sorted(viable, key=lambda mutant: mutant["key"])
    random.Random(options.seed).shuffle(order)
    until = time.time() + options.minutes * 60

    def look_at(mutant):
        earlier = results.get(mutant["key"])
        if time.time() > until or earlier and earlier["by"]:
            return
        survived = earlier["survived"] if earlier and options.keep else []
        result = run(source, tests, mutant, options.budget, survived)
        results[mutant["key"]] = result
        with open(work / "results.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(result, ensure_ascii=False) + "\n")
        if not result["by"]:
            print(f"missed: {mutant['name']}", flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(look_at, order))
    unsound(source, tests, results)
    return report(mutants, viable, results)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "target/mutants-code")
    parser.add_argument("--seed", default="shaodao")
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--only", default="", help="part of the names of mutants")
    parser.add_argument(
        "--budget", type=float, default=float("inf"),
        help="processor time for the tests of one mutant, seconds",
    )
    parser.add_argument("--jobs", type=int, default=1, help="tests at a time")
    parser.add_argument("--tests", default="", help="beginnings, such as `rights,stories stories::ladder`")
    parser.add_argument(
        "--keep", action="store_true",
        help="believe what is known of tests of the same name, and do not run what was survived",
    )
    return parser.parse_args()


def copy_tree(folder, without=()):
    """The tracked files as they are now; unchanged ones keep their time."""
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT).decode()
    for name in filter(None, tracked.split("\0")):
        original = ROOT / name
        if original.is_file() and name not in without:
            write(folder / name, original.read_bytes())


def write(path, content):
    if not (path.is_file() and path.read_bytes() == content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def settings(name):
    """A list of strings in `.cargo/mutants.toml`."""
    text = (ROOT / ".cargo/mutants.toml").read_text()
    return re.findall(r'"(.*?)"', re.search(name + r" = \[(.*?)\]", text, re.S).group(1))


def listed(tree):
    command = ["cargo", "mutants", "--list", "--json", "--no-config"]
    for name in settings("examine_globs"):
        command += ["-f", name]
    mutants = json.loads(subprocess.check_output(command, cwd=tree))
    for number, mutant in enumerate(mutants, 1):
        mutant["number"] = number
        # Why it cannot run, if it cannot.
        mutant["why"] = None if mutant["function"] else "outside of functions"
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
    by_file = {name: [] for name in settings("examine_globs")}
    for mutant in mutants:
        by_file[mutant["file"]].append(mutant)
    while True:
        arms = {}
        for name, here in by_file.items():
            arms[name] = rewrite(tree, source, name, here, before)
        write(source / ENTRY, ((tree / ENTRY).read_text() + RUNTIME).encode())
        programs, errors = compiled(source)
        if not errors:
            return programs
        dropped = []
        for name, line, said in errors:
            for first, last, mutant in arms.get(name, ()):
                if first <= line <= last and mutant["key"] not in before:
                    before.add(mutant["key"])
                    dropped.append(f"does not compile: {mutant['name']}: {said}")
        unviable.write_text(json.dumps(sorted(before)))
        print("\n".join(dropped), flush=True)
        if not dropped:
            sys.exit(f"the copy does not compile: {errors[:5]}")


def rewrite(tree, source, name, mutants, unviable):
    """Writes a file with its mutants; returns the lines of each of them."""
    file = Text((tree / name).read_text())
    text = file.text
    functions = defaultdict(list)
    for mutant in mutants:
        if mutant["function"] is None:
            continue
        start, end = file.span(mutant["function"]["span"])
        open_at = body_start(text, start, end)
        signature = text[start:open_at]
        if "const fn" in signature:
            mutant["why"] = "const fn"
        elif re.search(r"->.*\bimpl\b", signature, re.S):
            mutant["why"] = "returns impl Trait"
        else:
            functions[(open_at, end)].append(mutant)
    out, marks, at = [], [], 0
    for (open_at, end), here in sorted(functions.items()):
        if open_at < at:
            for mutant in here:
                mutant["why"] = "within a function that has mutants of its own"
            continue
        body = text[open_at + 1 : end - 1]
        crate = "crate" if name.startswith("core/") else "shaodao_core"
        place = place_of(here[0])
        once = "static REACHED: std::sync::Once = std::sync::Once::new();"
        out.append(text[at : open_at + 1])
        out.append(f'\nmatch {{ {once} {crate}::mutant(&REACHED, "{place}") }} {{\n')
        for mutant in here:
            mutant["place"] = place
            first, last = file.span(mutant["span"])
            changed = text[open_at + 1 : first] + mutant["replacement"] + text[last : end - 1]
            identity = place + body + "\0" + changed
            mutant["key"] = hashlib.sha256(identity.encode()).hexdigest()[:16]
            if mutant["key"] in unviable:
                mutant["why"] = "does not compile"
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


def place_of(mutant):
    """The function of a mutant, by a name that stays when lines move."""
    return f"{mutant['file']} {mutant['function']['function_name']}"


def compiled(source):
    """The test binaries by name, or the files and lines of the errors."""
    environment = dict(os.environ, CARGO_PROFILE_DEV_OPT_LEVEL="1", CARGO_PROFILE_DEV_DEBUG="0")
    environment.pop("CARGO_TARGET_DIR", None)
    command = ["cargo", "test", "--no-run", "--message-format=json"]
    for package in PACKAGES:
        command += ["-p", package]
    command += settings("additional_cargo_test_args")
    done = subprocess.run(command, cwd=source, env=environment, text=True, stdout=subprocess.PIPE)
    programs, errors = {}, []
    for line in done.stdout.splitlines():
        said = json.loads(line)
        message = said.get("message") or {}
        if message.get("level") == "error":
            # Other spans only explain: they point at arms that are right.
            where = [span for span in message["spans"] if span["is_primary"]]
            errors += [(it["file_name"], it["line_start"], message["message"]) for it in where]
        if said.get("executable") and said["profile"]["test"]:
            programs[said["target"]["name"]] = said["executable"]
    if done.returncode and not errors:
        errors.append(("nowhere in particular", 0, ""))
    return programs, errors


# Processor time that any test may take, seconds.
LONGEST = 1_000


class Test:
    """One test, and what it is like without a mutant."""

    def __init__(self, program, name, cost=0.0, wall=0.0, reaches=()):
        self.program, self.name = program, name
        self.cost, self.wall, self.reaches = cost, wall, set(reaches)

    @property
    def key(self):
        return f"{Path(self.program).name.rsplit('-', 1)[0]} {self.name}"

    def run(self, source, number, reached=None, longest=LONGEST):
        """How it fails, or nothing; and what it costs in processor time."""
        package = "core" if "/shaodao_core-" in self.program else "tests"
        environment = dict(os.environ, **{SWITCH: str(number)})
        if reached:
            environment[REACHED] = str(reached)
        seconds = int(10 + 5 * self.cost) if number else int(longest + 1)

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

        hung = threading.Event()
        with subprocess.Popen(
            [self.program, "--exact", self.name, "--test-threads=1"],
            cwd=source / package, env=environment, preexec_fn=limit, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        ) as running:
            # What waits for something that never comes uses no time of its own.
            def give_up():
                hung.set()
                os.killpg(running.pid, signal.SIGKILL)

            patience = threading.Timer(60 + 30 * (self.wall if number else longest), give_up)
            patience.start()
            said = running.stdout.read()
            _, status, used = os.wait4(running.pid, 0)
            code = running.returncode = os.waitstatus_to_exitcode(status)
            patience.cancel()
            try:
                # What it has started ends with it.
                os.killpg(running.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        used = used.ru_utime + used.ru_stime
        if code == 0 and " 1 passed; 0 failed;" in said:
            return None, used
        if hung.is_set():
            return "hangs", used
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "too long", used
        return "fails" if "test result: FAILED." in said else f"ends with {code}", used


def baseline(source, programs, work, options):
    """Every test that fits into the time, the cheapest first, with what it costs
    and reaches."""
    path = work / "tests.json"
    known = json.loads(path.read_text()) if options.keep and path.is_file() else {}
    tests, failing, longest = [], [], options.budget

    def measure(test):
        if test.key in known:
            test.cost, test.wall, reaches = known[test.key]
            test.reaches = set(reaches)
            tests.append(test)
            return
        reached = work / f"reached-{threading.get_ident()}"
        reached.unlink(missing_ok=True)
        began = time.time()
        fails, test.cost = test.run(source, 0, reached, min(longest, LONGEST))
        test.wall = time.time() - began
        if fails in ("too long", "hangs") and longest < LONGEST:
            print(f"left out, it takes more than {longest} s: {test.key}", flush=True)
            return
        if fails:
            failing.append(f"{test.key} {fails} without a mutant")
        tests.append(test)
        if reached.is_file():
            test.reaches = set(reached.read_text().splitlines())
        known[test.key] = (test.cost, test.wall, sorted(test.reaches))

    wanted = []
    for program in programs.values():
        command = [program, "--list", "--format", "terse"]
        said = subprocess.check_output(command, text=True, cwd=source / "core")
        wanted += [Test(program, name) for name in re.findall(r"^(.*): test$", said, re.M)]
    beginnings = tuple(options.tests.split(","))
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(measure, (it for it in wanted if it.key.startswith(beginnings))))
    path.write_text(json.dumps(known))
    if failing:
        sys.exit("\n".join(failing))
    total = sum(test.cost for test in tests)
    print(f"{len(tests)} tests, {total:.0f} s of processor time", flush=True)
    return sorted(tests, key=lambda test: test.cost)


# How often a test caught a mutant of a function: it is likely to catch others.
CAUGHT = Counter()


def run(source, tests, mutant, budget, survived):
    """What catches a mutant, and what did not."""
    place = mutant["place"]
    reaching = [test for test in tests if place in test.reaches and test.key not in survived]
    reaching.sort(key=lambda test: test.cost / (1 + CAUGHT[place, test.key]))
    survived, left, by, how, spent = list(survived), 0, None, None, 0.0
    for test in reaching:
        if spent + test.cost > budget:
            left += 1
            continue
        how, used = test.run(source, mutant["number"])
        spent += used
        if how:
            by = test.key
            CAUGHT[place, by] += 1
            break
        survived.append(test.key)
    return {
        "key": mutant["key"], "name": mutant["name"], "by": by, "how": how,
        "survived": survived, "left": left, "spent": round(spent, 1),
    }


def known(path):
    if not path.is_file():
        return {}
    results = (json.loads(line) for line in path.read_text().splitlines())
    return {result["key"]: result for result in results}


def unsound(source, tests, results):
    """Takes back what was caught by a test that fails by itself."""
    catching = {result["by"] for result in results.values() if result["by"]}
    for test in tests:
        if test.key in catching and test.run(source, 0)[0]:
            print(f"fails without a mutant: {test.key}")
            for result in results.values():
                if result["by"] == test.key:
                    result["by"] = None


def report(mutants, viable, results):
    total, caught, how = Counter(), Counter(), Counter()
    for mutant in viable:
        result = results.get(mutant["key"])
        if result:
            total[mutant["file"]] += 1
            caught[mutant["file"]] += bool(result["by"])
            how[result["how"]] += bool(result["by"])
            if not result["by"]:
                print(f"missed: {mutant['name']} ({result['left']} tests left out)")
    for mutant in mutants:
        if mutant["why"]:
            print(f"not run, {mutant['why']}: {mutant['name']}")
    for name in sorted(total):
        print(f"{name}: {caught[name]} of {total[name]}")
    print(", ".join(f"{how}: {count}" for how, count in how.most_common() if count))
    ran, good = total.total(), caught.total()
    share = f"{100 * good / ran:.1f} %" if ran else "—"
    print(f"{good} of {ran} caught ({share}); {len(viable)} compile, {len(mutants)} listed")
    return 0 if ran and good * 10 >= ran * 9 else 1


if __name__ == "__main__":
    sys.exit(main())
