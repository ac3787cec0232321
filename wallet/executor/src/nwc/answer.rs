//! From an app's request to its answer. What is read is answered at once, and a payment once its
//! outcome is in the log; an app sees only what went through its own account.

use domain::{ErrorBody, IdempotencyKey, Msat, PaymentHash};
use host::ipc::Handler;
use nostr::event::EventId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use wallet::{
    Input, Reply, Which,
    wire::{
        AccountId, AccountView, Direction, HistoryQuery, Invoice, Pay, Payment, PaymentState,
        Quote, Rail, Receive, method,
    },
};

use super::{
    convert,
    intake::Asked,
    seal::Cipher,
    service::Service,
    words::{
        Answer, BalanceResult, BudgetResult, Call, Code, Flow, InfoResult, Listing, Lookup, Method,
        Order, Refusal, Told, Transactions, Wish,
    },
};
use crate::backend::Backend;

/// What an app that names no expiry gets, and the most.
const EXPIRY_SECS: u64 = 3_600;
const LONGEST_EXPIRY_SECS: u64 = 7 * 24 * 3_600;
/// Transactions of one answer: asked for by default, and at most.
const LISTED: u64 = 20;
const MOST_LISTED: u64 = 200;
/// Payments of all accounts that one listing looks at.
const MOST_LOOKED_AT: usize = 20_000;
const PAGE: u32 = 500;
/// What NIP-44 carries everywhere: answers are kept below it.
const MOST_BYTES: usize = 60_000;
/// Requests whose refusal is remembered, so that the same one again is refused again.
const REMEMBERED: usize = 4_096;

/// Which answer goes to which part of a request.
pub type Answers = Vec<(Option<String>, Answer)>;

/// What a payment's key says of the request that it is for: `nwc/<id>`, or `nwc04/<id>` where it
/// was encrypted with NIP-04; with `/<name>` where it is one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentName {
    pub cipher: Cipher,
    pub id: EventId,
    pub name: Option<String>,
}

/// In a key: one of several that its app gave no name.
const UNNAMED: char = '#';

impl PaymentName {
    pub fn key(&self) -> IdempotencyKey {
        let area = match self.cipher {
            Cipher::Nip44 => "nwc",
            Cipher::Nip04 => "nwc04",
        };
        match &self.name {
            None => IdempotencyKey::of(area, self.id.to_hex()),
            Some(name) => IdempotencyKey::of(area, format_args!("{}/{name}", self.id.to_hex())),
        }
    }

    pub fn read(key: &IdempotencyKey) -> Option<Self> {
        let (area, rest) = key.as_str().split_once('/')?;
        let cipher = match area {
            "nwc" => Cipher::Nip44,
            "nwc04" => Cipher::Nip04,
            _ => return None,
        };
        let (id, name) = match rest.split_once('/') {
            Some((id, name)) => (id, Some(name.to_owned())),
            None => (rest, None),
        };
        let read = EventId::from_hex(id).ok().filter(|read| read.to_hex() == id)?;
        Some(Self { cipher, id: read, name })
    }

    /// What the answer to it is an answer to.
    pub fn method(name: Option<&str>) -> Method {
        if name.is_some() { Method::MultiPayInvoice } else { Method::PayInvoice }
    }

    /// The `d` tag of its answer: the app's name for it, else the payment hash.
    pub fn tag(name: Option<String>, hash: Option<PaymentHash>) -> Option<String> {
        let name = name?;
        if name.starts_with(UNNAMED) { hash.map(|hash| hash.to_string()) } else { Some(name) }
    }
}

/// Requests that are being worked on, and those that were refused, by id.
#[derive(Debug, Default)]
pub struct Memory {
    known: HashMap<EventId, Option<Answers>>,
    order: VecDeque<EventId>,
}

/// What is known of a request.
enum Seen {
    New,
    /// Somebody is at it.
    Working,
    Refused(Answers),
}

impl Memory {
    fn begin(&mut self, id: EventId) -> Seen {
        match self.known.get(&id) {
            Some(None) => Seen::Working,
            Some(Some(answers)) => Seen::Refused(answers.clone()),
            None => {
                self.known.insert(id, None);
                self.order.push_back(id);
                while self.order.len() > REMEMBERED {
                    let oldest = self.order.pop_front();
                    oldest.and_then(|id| self.known.remove(&id));
                }
                Seen::New
            }
        }
    }

    /// A refusal stays; anything else is the log's to remember.
    fn end(&mut self, id: EventId, refused: Option<Answers>) {
        if let Some(answers) = refused {
            if let Some(known) = self.known.get_mut(&id) {
                *known = Some(answers);
            }
            return;
        }
        self.known.remove(&id);
        self.order.retain(|other| *other != id);
    }
}

impl<B: Backend> Service<B> {
    /// The answers that are known now; those of payments under way follow from the log.
    pub(super) async fn answers(&self, asked: Asked) -> Answers {
        let Asked { account, id, cipher, what } = asked;
        let call = match what {
            Ok(call) => call,
            Err((method, why)) => return vec![(None, Answer::refused(&method, why))],
        };
        let begun = self.memory.lock().map_or(Seen::New, |mut memory| memory.begin(id));
        match begun {
            Seen::Working => return Vec::new(),
            Seen::Refused(answers) => return answers,
            Seen::New => {}
        }
        let pays = call.method().pays();
        let answers = self.answer(&account, id, cipher, call).await;
        let refused = pays && answers.iter().any(|(_, answer)| answer.outcome.is_err());
        if let Ok(mut memory) = self.memory.lock() {
            memory.end(id, refused.then(|| answers.clone()));
        }
        answers
    }

    async fn answer(
        &self,
        account: &AccountId,
        id: EventId,
        cipher: Cipher,
        call: Call,
    ) -> Answers {
        let method = call.method();
        let refused = |why| vec![(None, Answer::refused(method.as_str(), why))];
        let view = match self.open(account).await {
            Ok(view) => view,
            Err(why) => return refused(why),
        };
        let orders = match call {
            Call::PayInvoice(order) => vec![(None, order)],
            Call::MultiPayInvoice(orders) => {
                let named = |(index, order): (usize, Order)| {
                    let name = order.id.clone().unwrap_or_else(|| format!("{UNNAMED}{index}"));
                    (Some(name), order)
                };
                orders.into_iter().enumerate().map(named).collect()
            }
            call => {
                return match self.read(&view, id, cipher, call).await {
                    Ok(answer) => vec![(None, answer)],
                    Err(why) => refused(why),
                };
            }
        };
        let mut answers = Answers::new();
        for (name, order) in orders {
            let key = PaymentName { cipher, id, name: name.clone() }.key();
            let (answer, hash) = self.pay(account, &key, &order, method).await;
            let tag = PaymentName::tag(name, hash);
            answers.extend(answer.map(|answer| (tag, answer)));
        }
        answers
    }

    /// The account, while it may be used.
    async fn open(&self, account: &AccountId) -> Result<AccountView, Refusal> {
        let accounts = self.accounts().await.map_err(|error| convert::refusal(&error))?;
        let now = host::clock::now();
        let over =
            || Refusal::new(Code::Unauthorized, "This connection is over. Nothing was done.");
        accounts
            .into_iter()
            .find(|view| view.account.id == *account)
            .filter(|view| !view.closed && view.account.expires_at.is_none_or(|end| now < end))
            .ok_or_else(over)
    }

    /// Hands one payment to the machine. Its answer where it is known, and its hash.
    async fn pay(
        &self,
        account: &AccountId,
        key: &IdempotencyKey,
        order: &Order,
        method: Method,
    ) -> (Option<Answer>, Option<PaymentHash>) {
        if let Ok(payment) = self.payment(key).await {
            return (convert::outcome(method, &payment), payment.payment_hash);
        }
        let refused =
            |error: &ErrorBody| Some(Answer::refused(method.as_str(), convert::refusal(error)));
        let asked = json!({
            "request": order.invoice, "account": account, "amount_msat": order.amount,
        });
        let quote: Quote = match self.ask(method::QUOTE, asked).await {
            Ok(quote) => quote,
            Err(error) => return (refused(&error), None),
        };
        let hash = quote.payment_hash;
        if let Some(error) = &quote.refused {
            return (refused(error), hash);
        }
        if !matches!(quote.rail, Rail::Bolt11 | Rail::Bolt12) {
            let error = ErrorBody::refused(
                "unsupported_rail",
                "Only Lightning invoices and offers are paid this way. Nothing was sent.",
            );
            return (refused(&error), hash);
        }
        let pay = Pay {
            key: key.clone(),
            account: account.clone(),
            request: quote.request,
            amount_msat: order.amount.unwrap_or(quote.amount_msat),
            max_fee_msat: quote.max_fee_msat,
            lnurl: None,
        };
        let taken = match self.house.ask(Input::Pay(pay)).await {
            Ok(Reply::Payment(payment)) => Ok(*payment),
            Ok(_) => self.payment(key).await,
            Err(error) => return (refused(&error), hash),
        };
        // Whatever is not known here is told from the log.
        (taken.ok().and_then(|payment| convert::outcome(method, &payment)), hash)
    }

    async fn read(
        &self,
        view: &AccountView,
        id: EventId,
        cipher: Cipher,
        call: Call,
    ) -> Result<Answer, Refusal> {
        let method = call.method();
        Ok(match call {
            Call::MakeInvoice(wish) => {
                let key = PaymentName { cipher, id, name: None }.key();
                Answer::ok(method, &convert::transaction(&self.invoice(view, key, wish).await?))
            }
            Call::LookupInvoice(lookup) => {
                Answer::ok(method, &convert::transaction(&self.look_up(view, lookup).await?))
            }
            Call::ListTransactions(listing) => {
                Answer::ok(method, &self.transactions(view, &listing).await?)
            }
            Call::GetBalance => {
                let balance = self.spendable(view).await?;
                Answer::ok(method, &BalanceResult { balance })
            }
            Call::GetInfo => Answer::ok(method, &self.info(view).await?),
            Call::GetBudget => Answer::ok(method, &budget(view)),
            Call::PayInvoice(_)
            | Call::MultiPayInvoice(_)
            | Call::PayKeysend
            | Call::SignMessage(_) => {
                return Err(Refusal::new(Code::NotImplemented, "This wallet does not do that."));
            }
        })
    }

    async fn invoice(
        &self,
        view: &AccountView,
        key: IdempotencyKey,
        wish: Wish,
    ) -> Result<Payment, Refusal> {
        if wish.description_hash.as_ref().is_some_and(|hash| !hash.is_empty()) {
            return Err(Refusal::new(
                Code::NotImplemented,
                "This wallet makes no invoices with a description hash. Nothing was made.",
            ));
        }
        let expiry = wish.expiry.filter(|secs| *secs > 0).unwrap_or(EXPIRY_SECS);
        let receive = Receive {
            key: key.clone(),
            account: view.account.id.clone(),
            rail: Rail::Bolt11,
            amount_msat: Some(wish.amount).filter(|amount| !amount.is_zero()),
            memo: wallet::bolt11::printable(&wish.description.unwrap_or_default()),
            expiry_secs: expiry.min(LONGEST_EXPIRY_SECS) as u32,
        };
        let asked = serde_json::to_value(&receive)
            .map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
        let _made: Invoice =
            self.ask(method::RECEIVE, asked).await.map_err(|error| convert::refusal(&error))?;
        self.payment(&key).await.map_err(|error| convert::refusal(&error))
    }

    async fn look_up(&self, view: &AccountView, lookup: Lookup) -> Result<Payment, Refusal> {
        let not_found = || Refusal::new(Code::NotFound, "This connection has no such invoice.");
        let hash = match (lookup.payment_hash, lookup.invoice) {
            (Some(hash), _) => hash,
            (None, Some(invoice)) => {
                wallet::bolt11::Bolt11Request::read(&invoice, self.network)
                    .map_err(|_| not_found())?
                    .payment_hash
            }
            (None, None) => return Err(not_found()),
        };
        match self.house.ask(Input::PaymentOf(Which::Hash(hash))).await {
            Ok(Reply::Payment(payment)) if payment.account == view.account.id => Ok(*payment),
            Ok(_) => Err(not_found()),
            Err(error) if error.code == wallet::wire::refusal::NO_SUCH_PAYMENT => Err(not_found()),
            Err(error) => Err(convert::refusal(&error)),
        }
    }

    /// Newest first, of this account alone.
    async fn transactions(
        &self,
        view: &AccountView,
        asked: &Listing,
    ) -> Result<Transactions, Refusal> {
        let limit = asked.limit.unwrap_or(LISTED).clamp(1, MOST_LISTED) as usize;
        let mut skip = asked.offset.unwrap_or(0);
        let (mut found, mut before, mut looked_at) = (Vec::new(), None, 0);
        'pages: while looked_at < MOST_LOOKED_AT {
            let query = HistoryQuery { before, count: PAGE };
            let page = match self.house.ask(Input::History(query)).await {
                Ok(Reply::Payments(page)) => page,
                Ok(other) => return Err(Refusal::new(Code::Internal, format!("{other:?}"))),
                Err(error) => return Err(convert::refusal(&error)),
            };
            let Some(oldest) = page.last() else { break };
            before = Some(oldest.created_at);
            looked_at += page.len();
            if asked.from.is_some_and(|from| oldest.created_at.as_secs() < from) {
                looked_at = MOST_LOOKED_AT;
            }
            let ours = page
                .iter()
                .filter(|payment| payment.account == view.account.id && is_listed(payment, asked));
            for payment in ours {
                if skip > 0 {
                    skip -= 1;
                } else if found.len() < limit {
                    found.push(convert::transaction(payment));
                } else {
                    break 'pages;
                }
            }
        }
        let mut listed = Transactions { transactions: found, total_count: None };
        while json!(listed).to_string().len() > MOST_BYTES {
            listed.transactions.pop();
        }
        Ok(listed)
    }

    /// An isolated account's own money, else what its budget and the wallet leave.
    async fn spendable(&self, view: &AccountView) -> Result<Msat, Refusal> {
        if let Some(own) = view.balance_msat {
            return Ok(view.left_msat.map_or(own, |left| own.min(left)));
        }
        let summary = match self.house.ask(Input::Summary).await {
            Ok(Reply::Summary(summary)) => summary,
            Ok(other) => return Err(Refusal::new(Code::Internal, format!("{other:?}"))),
            Err(error) => return Err(convert::refusal(&error)),
        };
        let Some(balance) = summary.balance else {
            return Err(Refusal::new(Code::Internal, "The wallet does not know its balance now."));
        };
        Ok(view.left_msat.map_or(balance.spendable_msat, |left| left.min(balance.spendable_msat)))
    }

    async fn info(&self, view: &AccountView) -> Result<InfoResult, Refusal> {
        let info: Value =
            self.ask(method::INFO, Value::Null).await.map_err(|error| convert::refusal(&error))?;
        let terms = view.account.connection.as_ref();
        Ok(InfoResult {
            alias: Some("Pilothouse".into()),
            color: None,
            pubkey: info["node_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned),
            network: Some(convert::network(self.network).into()),
            methods: terms.map_or_else(Vec::new, |terms| terms.methods.clone()),
            notifications: Told::ALL.iter().map(|told| told.as_str().to_owned()).collect(),
        })
    }

    /// One of the executor's own calls.
    async fn ask<T: DeserializeOwned>(&self, name: &str, params: Value) -> Result<T, ErrorBody> {
        let answer = self.calls.call(name, params).await?;
        serde_json::from_value(answer)
            .map_err(|error| ErrorBody::new("internal", error.to_string()))
    }
}

fn is_listed(payment: &Payment, asked: &Listing) -> bool {
    let at = payment.created_at.as_secs();
    let in_time =
        asked.from.is_none_or(|from| at >= from) && asked.until.is_none_or(|until| at <= until);
    let in_flow = match asked.flow {
        None => true,
        Some(Flow::Incoming) => payment.direction == Direction::In,
        Some(Flow::Outgoing) => payment.direction == Direction::Out,
    };
    let paid = payment.state == PaymentState::Settled;
    in_time && in_flow && (paid || asked.unpaid.unwrap_or(false))
}

fn budget(view: &AccountView) -> BudgetResult {
    let Some(budget) = &view.account.budget else { return BudgetResult::default() };
    let renewal = serde_json::to_value(budget.renews).ok();
    BudgetResult {
        used_budget: Some(view.spent_msat),
        total_budget: Some(budget.amount_msat),
        // A budget here rolls on: what was spent longest ago comes back first.
        renews_at: None,
        renewal_period: renewal.and_then(|name| name.as_str().map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_names_its_request() {
        let id = EventId::from_byte_array([7; 32]);
        for cipher in [Cipher::Nip44, Cipher::Nip04] {
            for name in [None, Some("a-b.c".to_owned()), Some("#3".to_owned())] {
                let named = PaymentName { cipher, id, name };
                assert_eq!(PaymentName::read(&named.key()), Some(named));
            }
        }
        let hash = PaymentHash([1; 32]);
        let tag = |name: &str| PaymentName::tag(Some(name.into()), Some(hash));
        assert_eq!(tag("mine"), Some("mine".into()));
        assert_eq!(tag("#0"), Some(hash.to_string()));
        assert_eq!(PaymentName::tag(None, Some(hash)), None);
    }

    #[test]
    fn a_refusal_is_remembered_and_work_is_not_done_twice() {
        let mut memory = Memory::default();
        let id = |n: u8| EventId::from_byte_array([n; 32]);
        assert!(matches!(memory.begin(id(1)), Seen::New));
        assert!(matches!(memory.begin(id(1)), Seen::Working));
        let why = Refusal::new(Code::QuotaExceeded, "no");
        memory.end(id(1), Some(vec![(None, Answer::refused("pay_invoice", why))]));
        assert!(matches!(memory.begin(id(1)), Seen::Refused(answers) if answers.len() == 1));
        assert!(matches!(memory.begin(id(2)), Seen::New));
        memory.end(id(2), None);
        assert!(matches!(memory.begin(id(2)), Seen::New));
        for n in 0..REMEMBERED {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            memory.begin(EventId::from_byte_array(bytes));
        }
        assert_eq!((memory.known.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
    }

    proptest! {
        #[test]
        fn any_key_is_read_or_is_none_of_ours(text in "[!-~]{1,180}", rest in "[!-~]{0,100}") {
            for text in [text, format!("nwc/{rest}"), format!("nwc04/{rest}")] {
                if let Ok(key) = IdempotencyKey::new(&text)
                    && let Some(name) = PaymentName::read(&key)
                {
                    prop_assert_eq!(name.key(), key);
                }
            }
        }
    }
}
