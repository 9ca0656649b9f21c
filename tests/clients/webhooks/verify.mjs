// Verifies deliveries with the npm library of Standard Webhooks, and signs them again.
// Reads [{secret, headers, body}] from standard input; writes one {verified, signature} for each.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

// Installed where the test says, not beside this file.
const { Webhook } = createRequire(process.argv[2] + "/")("standardwebhooks");

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ secret, headers, body }) => {
  const webhook = new Webhook(secret);
  const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
  let verified = true;
  try {
    webhook.verify(body, headers);
  } catch {
    verified = false;
  }
  return { verified, signature: webhook.sign(headers["webhook-id"], at, body) };
});
process.stdout.write(JSON.stringify(answers));
