"""Verifies captured webhooks with the official library, and that tampered ones are refused.

Arguments: the secret. Standard input: a JSON list of {headers, body}.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
accepted = refused = 0
for request in json.load(sys.stdin):
    body, headers = request["body"], request["headers"]
    webhook.verify(body, headers)
    accepted += 1
    of_another = {**headers, "webhook-id": headers["webhook-id"] + "0"}
    for tampered in [(body + " ", headers), (body, of_another)]:
        try:
            webhook.verify(*tampered)
        except WebhookVerificationError:
            refused += 1
print(f"accepted {accepted}, tampered refused {refused}")
