"""Makes a Tryton database with a company whose leads are worked as sale opportunities.

Arguments: trytond's configuration. Activating the modules takes most of a minute.
"""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from trytond import config

KEY = "e2e-tryton-key-" + "0" * 17
PASSWORD = "e2e-tryton-password"

settings = sys.argv[1]
admin = [Path(sys.executable).with_name("trytond-admin"), "-c", settings, "-d", "tryton"]
password = Path(settings).with_name("password")
password.write_text(PASSWORD)
environment = {**os.environ, "TRYTONPASSFILE": str(password)}
for more in (
    ["--all", "--email", "admin@x.example"],
    ["-u", "sale_opportunity", "--activate-dependencies"],
):
    subprocess.run([*admin, *more], env=environment, check=True)

config.update_etc(settings)

from trytond.pool import Pool  # noqa: E402: it reads the configuration
from trytond.transaction import Transaction  # noqa: E402

Pool.start()
pool = Pool("tryton")
with Transaction().start("tryton", 0, readonly=True):
    pool.init()
with Transaction().start("tryton", 1) as transaction:
    yuan = {"name": "人民币", "code": "CNY", "symbol": "¥", "digits": 2, "rounding": Decimal("0.01")}
    currency, = pool.get("currency.currency").create([yuan])
    party, = pool.get("party.party").create([{"name": "杭州旗舰店"}])
    company, = pool.get("company.company").create([{"party": party.id, "currency": currency.id}])
    User = pool.get("res.user")
    User.write([User(1)], {"companies": [("add", [company.id])], "company": company.id})
    Application = pool.get("res.user.application")
    Application.create([{"user": 1, "application": "rest", "key": KEY}])
    transaction.commit()
print(f"company {company.id}, currency {currency.id}")
