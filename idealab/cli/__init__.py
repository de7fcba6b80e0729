"""The command line: one file a command, and nothing heavy imported before a command needs it."""

from idealab.cli.group import main as main
