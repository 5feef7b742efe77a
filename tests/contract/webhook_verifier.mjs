// Webhooks verified by other hands than ours: the library of Standard Webhooks on npm, and Node's own crypto, as a
// customer would use it for X-Scrip-Signature. The folder of modules is in SCRIP_NODE_MODULES. Reads deliveries as
// lines of JSON, {"secrets", "headers", "body": base64}, and prints for each what every verifier says of it under
// every secret. What is expected is not told here.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.SCRIP_NODE_MODULES}/`);
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

function accepts(secret, headers, body) {
  try {
    new Webhook(secret).verify(body, headers, { jsonParse: false });
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

function signedByHand(secret, headers, body) {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const known = Buffer.from(`sha256=${createHmac("sha256", key).update(body).digest("hex")}`);
  return (headers["x-scrip-signature"] ?? "").split(", ").map((told) => Buffer.from(told))
    .some((told) => told.length === known.length && timingSafeEqual(told, known));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { secrets, headers, body: base64 } = JSON.parse(line);
  const body = Buffer.from(base64, "base64");
  const standard = secrets.map((secret) => accepts(secret, headers, body));
  const own = secrets.map((secret) => signedByHand(secret, headers, body));
  const verdict = { standard: { "npm standardwebhooks": standard }, own: { "Node crypto": own } };
  if (!process.stdout.write(`${JSON.stringify(verdict)}\n`)) {
    await new Promise((resolve) => process.stdout.once("drain", resolve));
  }
}
