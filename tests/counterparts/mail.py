"""A message as a mail program understands it: decoded by Python's own parser.

As a program: a message on standard input, JSON on standard output.
"""

import email
import email.policy
import json
import sys


def decoded(octets):
    message = email.message_from_bytes(octets, policy=email.policy.default)
    parts = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    return {
        "headers": {name.lower(): str(value) for name, value in message.items()},
        "defects": [str(defect) for part in message.walk() for defect in part.defects],
        "kind": message.get_content_type(),
        **{kind: part and part.get_content().replace("\r\n", "\n") for kind, part in parts.items()},
    }


if __name__ == "__main__":
    print(json.dumps(decoded(sys.stdin.buffer.read())))
