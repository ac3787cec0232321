// A plain NIP-90 buyer over nostr-tools: asks, pays the invoice by the command it is given, checks the result.
// Usage: node buy.mjs RELAY_URL PROVIDER_PUBKEY_HEX PAY_COMMAND [ARG ...]   (the invoice is appended)
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { finalizeEvent, generateSecretKey, getPublicKey, verifyEvent } from "nostr-tools/pure";
import { Relay, useWebSocketImplementation } from "nostr-tools/relay";
import WebSocket from "ws";

useWebSocketImplementation(WebSocket);
const [url, provider, ...pay] = process.argv.slice(2);
const within = (promise, seconds, what) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`no ${what} in ${seconds} s`)), seconds * 1000))]);
const tag = (event, name) => event.tags.find((t) => t[0] === name);

const secret = generateSecretKey();
const relay = await within(Relay.connect(url), 10, "connection");
const request = finalizeEvent(
  {
    kind: 5000,
    created_at: Math.floor(Date.now() / 1000),
    content: "",
    tags: [
      ["i", "# Bought from outside\n\nPlain *Markdown*.", "text"],
      ["param", "media_type", "text/markdown"],
      ["bid", "100000"],
      ["p", provider],
      ["expiration", String(Math.floor(Date.now() / 1000) + 120)],
    ],
  },
  secret,
);

const answers = [];
let wake = () => {};
relay.subscribe([{ kinds: [6000, 7000], "#e": [request.id], authors: [provider] }], {
  onevent(event) {
    if (verifyEvent(event)) answers.push(event);
    wake();
  },
});
const find = (test) =>
  new Promise((found) => {
    wake = () => {
      const event = answers.find(test);
      if (event) found(event);
    };
    wake();
  });

await within(relay.publish(request), 10, "OK from the relay");
const asked = await within(find((e) => e.kind === 7000 && tag(e, "status")?.[1] !== "processing"), 30, "answer");
if (tag(asked, "status")[1] !== "payment-required") throw new Error(`refused: ${tag(asked, "status").join(" ")}`);
const [, amount, bolt11] = tag(asked, "amount");
const paid = JSON.parse(execFileSync(pay[0], [...pay.slice(1), bolt11], { encoding: "utf8" }));
const result = await within(find((e) => e.kind === 6000), 60, "result");
if (tag(result, "p")?.[1] !== getPublicKey(secret)) throw new Error("the result is addressed to somebody else");
if (JSON.parse(tag(result, "request")[1]).id !== request.id) throw new Error("the result names another request");
console.log(
  JSON.stringify({
    request_id: request.id,
    amount_msat: Number(amount),
    bolt11,
    paid,
    content: result.content,
    content_sha256: createHash("sha256").update(result.content).digest("hex"),
  }),
);
relay.close();
process.exit(0);
