"""A terminal (a pty) in which a command runs: types each line of standard input, and prints
what the command showed. Ends as the command ends.

    terminal.py COMMAND [ARGUMENT...] < lines
"""

import os
import pty
import sys

lines = sys.stdin.buffer.read()
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
os.write(terminal, lines)
shown = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:  # the command has closed its side
        break
    if not piece:
        break
    shown += piece
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status))
