"""A mail server (aiosmtpd) that wants STARTTLS and a login, and takes one of them.

Arguments: a PEM file with its key and certificate, the user, the password. Standard output: its
port. Ends with standard input.
"""

import asyncio
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Nobody:
    async def handle_DATA(self, server, session, envelope):
        return "550 5.7.1 no mail is wanted here"


def known(user, password):
    def judge(server, session, envelope, mechanism, given):
        right = (given.login, given.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    return judge


async def main():
    pem, user, password = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)

    def connection():
        return SMTP(
            Nobody(),
            tls_context=tls,
            require_starttls=True,
            authenticator=known(user, password),
            auth_required=True,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
