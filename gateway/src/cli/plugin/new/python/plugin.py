"""The my-erp program: hands each lead to my ERP.

leadgate's exec plugin starts it and writes a line of JSON to its stdin for each lead; it answers
each with a line on stdout. It is whole already: each lead becomes a line in a file. Put your
system where the file is; what is around it stays.
"""

import json
import os
import sys


def say(message):
    """Writes a line to leadgate, at once."""
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def deliver(path, attempt):
    """Hands over one lead; gives the outcome."""
    lead = attempt["event"]["lead"]
    record = {
        # The same at each attempt: by it a destination knows what it has.
        "delivery": attempt["id"],
        "record_id": lead["record_id"],
        "name": lead["name"],
        "phone": lead["phone"],
    }
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        # In one piece.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
    except OSError as error:
        say({"log": {"level": "warn", "message": "the file could not be written",
                     "fields": {"code": error.errno}}})
        return {"outcome": "retry", "rule": "file", "reason": "the file could not be written"}
    return {"outcome": "delivered", "receipt": "written"}


def main(path):
    for line in sys.stdin:
        attempt = json.loads(line)
        try:
            outcome = deliver(path, attempt)
        except Exception as error:  # One lead must not end the program for the others.
            # Never the error's text: it may quote the lead.
            outcome = {"outcome": "retry", "rule": "bug", "reason": type(error).__name__}
        say({"id": attempt["id"], **outcome})


if __name__ == "__main__":
    main(sys.argv[1])
