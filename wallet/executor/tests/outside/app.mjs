// An app that pays and is paid through a wallet over Nostr Wallet Connect.
// First line of standard input: {"uri", "invoice", "too_much"}. Prints one JSON object per line.
import { createInterface } from "node:readline";
import { NWCClient } from "@getalby/sdk/nwc";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => console.log(JSON.stringify(what));
const within = (promise, seconds, what) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`no ${what} in ${seconds} s`)), seconds * 1000))]);

const { uri, invoice, too_much } = JSON.parse((await lines.next()).value);
const client = new NWCClient({ nostrWalletConnectUrl: uri });
const told = [];
let wake = () => {};
await client.subscribeNotifications((notification) => {
  told.push(notification);
  wake();
});
const hears = (type) =>
  new Promise((found) => {
    wake = () => {
      const one = told.find((each) => each.notification_type === type);
      if (one) found(one.notification);
    };
    wake();
  });

const service = await within(client.getWalletServiceInfo(), 20, "info event");
const info = await client.getInfo();
const before = await client.getBalance();
const paid = await client.payInvoice({ invoice });
const sent = await within(hears("payment_sent"), 20, "payment_sent");
const refused = await client.payInvoice({ invoice: too_much }).then(
  () => "paid",
  (error) => error.code,
);
const made = await client.makeInvoice({ amount: 12_000, description: "from outside" });
say({ made: made.invoice });
const received = await within(hears("payment_received"), 60, "payment_received");
const looked = await client.lookupInvoice({ payment_hash: made.payment_hash });
const { transactions } = await client.listTransactions({ limit: 10 });
const budget = await client.getBudget();
say({ service, encryption: client.encryptionType, info, before, paid, sent, refused, received, looked, transactions, budget });
client.close();
process.exit(0);
