"""The command line of `run`, and the report."""

import argparse
import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import known

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def arguments():
    p = argparse.ArgumentParser(
        prog="tests/interop/run",
        description="Runs real clients of others against a broker. The last line says how many "
                    "checks passed and failed; the exit code is 0 only if none failed.")
    p.add_argument("--broker", metavar="PATH", type=Path,
                   help="the broker's program (default: cargo build --release of this checkout)")
    p.add_argument("--reference", choices=["mosquitto", "crossbar"],
                   help="try the checks on another broker: those of MQTT on mosquitto, which is on "
                        "this machine, those of WAMP on crossbar, which is installed if needed")
    p.add_argument("--only", metavar="NAME", action="append",
                   help="only checks of this name, whole, as a beginning, or with * and ?; "
                        "may be repeated")
    p.add_argument("--list", action="store_true", help="name the checks and run none")
    p.add_argument("--jobs", type=int, default=4, help="checks at a time (default 4)")
    p.add_argument("--scratch", metavar="DIR", type=Path, default=ROOT / "target" / "interop",
                   help="where clients are installed and brokers run (default target/interop)")
    p.add_argument("--keep", action="store_true", help="keep data and logs of the brokers")
    p.add_argument("--times", action="store_true", help="name the slowest checks at the end")
    return p.parse_args()


def chosen(checks, patterns):
    if not patterns:
        return checks
    return [c for c in checks
            if any(c.name == p or c.name.startswith(p + ".") or fnmatch.fnmatch(c.name, p)
                   for p in patterns)]


def say(text):
    print(text, flush=True)


def built():
    say("building the broker")
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR")
    return (Path(target) if target else ROOT / "target") / "release" / "spindle"


def excused(check, reference):
    """Why the reference may fail this check, if there is a reason."""
    if reference == "crossbar":
        return known.why(check.name)
    return check.beyond if reference else ""


def told(result, reference):
    name, seconds = result.check.name, f"{result.seconds:5.1f} s"
    if result.ok:
        say(f"ok       {seconds}  {name}")
    elif excused(result.check, reference):
        say(f"beyond   {seconds}  {name}: {excused(result.check, reference)} ({result.why})")
    else:
        say(f"FAILED   {seconds}  {name}: {result.why}")


def behaviours(checks):
    """Different things that are checked, whichever client and transport they are checked with."""
    return len({c.run for c in checks})


def listed(checks):
    for c in checks:
        marks = [f"beyond the reference: {c.beyond}"] if c.beyond else []
        marks += ["not with the reference"] if c.own else []
        say(f"{c.name}" + (f"  ({'; '.join(marks)})" if marks else ""))
    say(f"{len(checks)} checks of {behaviours(checks)} behaviours")


def main():
    # A shell has whatever it puts in the background ignore this, and so do all that are started by
    # that; programs of others end themselves by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    args = arguments()
    from brokers import Crossbar, Mosquitto, Spindle
    from harness import CHECKS, World, run_all
    from peers import Certificates, Peers

    import checks  # noqa: F401 - fills CHECKS

    wanted = chosen(CHECKS, args.only)
    if args.list:
        listed(wanted)
        return 0
    if not wanted:
        say("no check has such a name")
        return 2
    scratch = args.scratch.resolve()
    brand = {"mosquitto": Mosquitto, "crossbar": Crossbar}.get(args.reference, Spindle)
    program = None if args.reference else (args.broker or built()).resolve()
    if program and not program.exists():
        say(f"there is no {program}")
        return 2
    skipped = [c for c in wanted if args.reference and (
        c.own or c.wamp != (args.reference == "crossbar"))]
    wanted = [c for c in wanted if c not in skipped]

    peers = Peers(scratch).install(say)
    if args.reference == "crossbar":
        program = peers.crossbar(say)
    folder = scratch / f"run-{os.getpid()}"
    folder.mkdir(parents=True)
    world = World(brand, program, folder, peers, Certificates(folder / "certificates"))
    started = time.monotonic()
    try:
        results = run_all(world, wanted, args.jobs, lambda r: told(r, args.reference))
    finally:
        world.close()
    return report(args, results, skipped, folder, time.monotonic() - started)


def report(args, results, skipped, folder, seconds):
    passed = [r for r in results if r.ok]
    beyond = [r for r in results if not r.ok and excused(r.check, args.reference)]
    failed = [r for r in results if not r.ok and r not in beyond]
    if args.times:
        for r in sorted(results, key=lambda r: -r.seconds)[:15]:
            say(f"{r.seconds:6.1f} s  {r.check.name}")
    if failed:
        say("\nfailed:")
        for r in failed:
            say(f"  {r.check.name}: {r.why}")
    if failed or args.keep:
        say(f"\nlogs of the brokers: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    done = behaviours([r.check for r in results])
    say(f"\n{len(results)} checks of {done} behaviours in {seconds:.0f} s")
    aside = len(skipped) + len(beyond)
    tail = f", {aside} skipped" if aside else ""
    say(f"{len(passed)} passed, {len(failed)} failed{tail}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
