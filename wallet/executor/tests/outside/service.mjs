// A wallet service of NIP-47 with a balance and nothing else, for a client to ask.
// First line of standard input: {"relay", "wallet_secret", "client_pubkey"}. Prints a line when it serves.
import { createInterface } from "node:readline";
import { NWCWalletService, NWCWalletServiceKeyPair } from "@getalby/sdk/nwc";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { relay, wallet_secret, client_pubkey } = JSON.parse((await lines.next()).value);
const service = new NWCWalletService({ relayUrl: relay });
const methods = ["get_info", "get_balance", "pay_invoice", "make_invoice", "lookup_invoice"];
await service.publishWalletServiceInfoEvent(wallet_secret, methods, []);
await service.subscribe(new NWCWalletServiceKeyPair(wallet_secret, client_pubkey), {
  getInfo: async () => ({ result: { alias: "outside", network: "regtest", methods }, error: undefined }),
  getBalance: async () => ({ result: { balance: 7_654_321 }, error: undefined }),
  payInvoice: async () => ({ result: undefined, error: { code: "PAYMENT_FAILED", message: "no way" } }),
  lookupInvoice: async () => ({ result: undefined, error: { code: "NOT_FOUND", message: "unknown" } }),
});
console.log(JSON.stringify({ serves: true }));
// Until its standard input ends.
await lines.next();
process.exit(0);
