"""Verifies captured webhooks with the official library, and that tampered ones are refused.

Arguments: the secret. Standard input: a JSON list of {headers, body}.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
accepted = refused = 0
for request in json.load(sys.stdin):
    webhook.verify(request["body"], request["headers"])
    accepted += 1
    try:
        webhook.verify(request["body"] + " ", request["headers"])
    except WebhookVerificationError:
        refused += 1
print(f"accepted {accepted}, tampered refused {refused}")
