"""A mail server (aiosmtpd) that prints what it got, decoded.

Standard output: its port, then each message as a line of JSON. Ends with standard input.
"""

import asyncio
import json
import sys

from aiosmtpd.smtp import SMTP

from mail import decoded


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        got = {
            "from": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            **decoded(envelope.content),
        }
        print(json.dumps(got), flush=True)
        return "250 2.0.0 kept"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Mailbox()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
