// Verifies captured webhooks with the official library, and that tampered ones are refused.
//
// Arguments: the secret. Standard input: a JSON list of {headers, body}.

const fs = require("node:fs");
const path = require("node:path");

const folder = path.join(__dirname, "../.counterparts/node/node_modules/standardwebhooks");
const { Webhook, WebhookVerificationError } = require(folder);

const webhook = new Webhook(process.argv[2]);
let accepted = 0;
let refused = 0;
for (const { headers, body } of JSON.parse(fs.readFileSync(0, "utf8"))) {
  webhook.verify(body, headers);
  accepted += 1;
  const tampered = [
    [body + " ", headers],
    [body, { ...headers, "webhook-id": headers["webhook-id"] + "0" }],
  ];
  for (const [body, headers] of tampered) {
    try {
      webhook.verify(body, headers);
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      refused += 1;
    }
  }
}
console.log(`accepted ${accepted}, tampered refused ${refused}`);
