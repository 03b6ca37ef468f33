"""Proofs of what shells and manuals are told: run by `tests/shells/run`."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from terminal import PROMPT, Terminal

PROGRAM = "flashback-rotator"

# The claims that were held so far.
PROVED = []


@contextmanager
def proving(claim):
    """Says whether what the block checks is so. What is not ends the run."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        print(f"FAIL  {claim}\n      {error}", flush=True)
        raise
    PROVED.append(claim)
    print(f"PASS  {claim} ({time.monotonic() - began:.1f} s)", flush=True)


def same(found, expected, what):
    found, expected = set(found), set(expected)
    if found != expected:
        raise AssertionError(
            f"{what}: missing {sorted(expected - found)}, too many {sorted(found - expected)}"
        )


def told(binary, *arguments):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


class Commands:
    """What `--help` says of the program: the truth that completions are held against."""

    def __init__(self, binary):
        self.options = {}
        self.commands = {}
        self.visit(binary, ())

    def visit(self, binary, path):
        text = told(binary, *path, "--help").split("\nExamples:\n")[0]
        self.options[path] = re.findall(r"^ +(?:-\w, )?(--[\w-]+)", text, re.MULTILINE)
        section = re.search(r"^Commands:\n((?: .*\n)+)", text, re.MULTILINE)
        names = re.findall(r"^  ([\w-]+)", section[1], re.MULTILINE) if section else []
        self.commands[path] = names
        for name in names:
            if name != "help":
                self.visit(binary, (*path, name))


class Bash:
    """bash with a file of completions that it is told to read."""

    def __init__(self, directory, environment):
        self.terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], environment)
        # Every candidate at the first tab, and no questions.
        for setting in (
            "show-all-if-ambiguous on",
            "completion-query-items 0",
            "page-completions off",
            "bell-style none",
            "enable-bracketed-paste off",
        ):
            self.terminal.run(f"bind {shlex.quote('set ' + setting)}")
        self.load(directory)

    def load(self, directory):
        self.terminal.run(f"source {directory}/bash")

    def candidates(self, line):
        return " ".join(self.terminal.completes(line)).split()

    def finishes(self, line, whole):
        self.terminal.finishes(line, whole)

    def close(self):
        self.terminal.close()


class BashOnDemand(Bash):
    """bash with bash-completion, which finds the file by the program's name."""

    def load(self, directory):
        places = directory / "on-demand" / "completions"
        places.mkdir(parents=True)
        (places / PROGRAM).write_text((directory / "bash").read_text())
        self.terminal.run(f"BASH_COMPLETION_USER_DIR={places.parent}")
        self.terminal.run("source /usr/share/bash-completion/bash_completion")


class Zsh:
    """zsh, which finds the file in a directory of its functions."""

    def __init__(self, directory, environment):
        functions = directory / "functions"
        functions.mkdir()
        (functions / f"_{PROGRAM}").write_text((directory / "zsh").read_text())
        self.terminal = Terminal(["zsh", "-f", "-i"], environment)
        self.terminal.run("setopt no_prompt_sp no_auto_menu; LISTMAX=1000; unset zle_bracketed_paste")
        self.terminal.run(f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D")

    def candidates(self, line):
        shown = [words.split(" -- ")[0] for words in self.terminal.completes(line)]
        # The line itself is shown once more.
        return " ".join(words for words in shown if words.strip() != line.strip()).split()

    def finishes(self, line, whole):
        self.terminal.finishes(line, whole)

    def close(self):
        self.terminal.close()


class Fish:
    """fish, asked for what it would show."""

    def __init__(self, directory, environment):
        self.script, self.environment = directory / "fish", environment

    def candidates(self, line):
        asked = f"source {self.script}; complete -C {shlex.quote(line)}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", asked],
            capture_output=True,
            text=True,
            check=True,
            env=self.environment,
        )
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    def finishes(self, line, whole):
        same(self.candidates(line), [whole.split()[-1]], line)

    def close(self):
        pass


def completes(name, shell, commands):
    def options(line):
        return [word for word in shell.candidates(line) if word.startswith("--")]

    with proving(f"{name}: after the program's name comes every command"):
        found = [word for word in shell.candidates(f"{PROGRAM} ") if not word.startswith("-")]
        same(found, commands.commands[()], "commands")
    with proving(f"{name}: after each command come its options, and no others"):
        for path, expected in commands.options.items():
            line = " ".join([PROGRAM, *path, "--"])
            same(options(line), expected, line)
    with proving(f"{name}: a command that has begun is finished"):
        shell.finishes(f"{PROGRAM} rollb", f"{PROGRAM} rollback")
    with proving(f"{name}: an option with a value before the command is no hindrance"):
        line = f"{PROGRAM} --config ./x.toml history --"
        same(options(line), commands.options[("history",)], line)
    # In fish these come without their values, as all arguments do that are no options.
    if name != "fish":
        with proving(f"{name}: the values of an argument are completed"):
            found = [word for word in shell.candidates(f"{PROGRAM} completions ") if word[0] != "-"]
            same(found, ["bash", "elvish", "fish", "powershell", "zsh"], "values")


def manuals(binary, directory, commands):
    pages = directory / "man"
    told(binary, "man", "--dir", str(pages))
    with proving("there is a manual page for the program and for each command"):
        expected = ["-".join([PROGRAM, *path]) + ".1" for path in commands.options]
        same([page.name for page in pages.iterdir()], expected, "pages")
    with proving("mandoc has nothing to say against any of them"):
        # A page is of a version and not of a day, and an empty line too many is no fault.
        allowed = re.compile("missing date|skipping paragraph macro: br")
        lint = ["mandoc", "-T", "lint", "-W", "warning", *map(str, sorted(pages.iterdir()))]
        done = subprocess.run(lint, capture_output=True, text=True)
        said = [line for line in done.stdout.splitlines() if not allowed.search(line)]
        if said:
            raise AssertionError("\n".join(said))
    with proving("each has EXIT STATUS, ENVIRONMENT, FILES and EXAMPLES, also at 60 columns"):
        for page in pages.iterdir():
            show = ["mandoc", "-T", "ascii", "-O", "width=60", str(page)]
            text = subprocess.run(show, capture_output=True, text=True, check=True).stdout
            text = re.sub(r".\x08", "", text)
            for title in ("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"):
                if not re.search(rf"^{title}$", text, re.MULTILINE):
                    raise AssertionError(f"{page.name} has no {title}")


def main(binary):
    binary = Path(binary).resolve()
    commands = Commands(binary)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        for shell in ("bash", "zsh", "fish"):
            (directory / shell).write_text(told(binary, "completions", shell))
        environment = {
            "PATH": f"{binary.parent}:{os.environ['PATH']}",
            "HOME": temporary,
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "PS1": PROMPT,
        }
        for name, kind in (
            ("bash", Bash),
            ("bash with bash-completion", BashOnDemand),
            ("zsh", Zsh),
            ("fish", Fish),
        ):
            shell = kind(directory, environment)
            completes(name, shell, commands)
            shell.close()
        manuals(binary, directory, commands)
    print(f"shells: {len(PROVED)} claims hold")


main(sys.argv[1])
