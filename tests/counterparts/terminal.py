"""A terminal (a pty) in which a command runs: types each line of standard input, and prints
what the command showed. Ends as the command ends.

    terminal.py [--after TEXT] COMMAND [ARGUMENT...] < lines

With --after it types only when the command has shown that text.
"""

import os
import pty
import sys

lines = sys.stdin.buffer.read()
command = sys.argv[1:]
after = b""
if command[0] == "--after":
    after = command[1].encode()
    command = command[2:]
child, terminal = pty.fork()
if child == 0:
    os.execv(command[0], command)
shown = b""
typed = False
if not after:
    os.write(terminal, lines)
    typed = True
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:  # the command has closed its side
        break
    if not piece:
        break
    shown += piece
    if not typed and after in shown:
        os.write(terminal, lines)
        typed = True
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status))
