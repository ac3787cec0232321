//! A desk that answers from realistic data: jobs in every state, long texts, unknowns and errors.

use domain::{
    ErrorBody, EventHash, IdempotencyKey, Msat, Network, PaymentHash, Preimage, Pubkey, RequestId,
    Sha256Hash, StreamId, Timestamp,
};
use engine::{
    Command, DeskPort, Query, Reply,
    command::{DemandAnswer, DemandRisk, PaymentPolicy},
    port::{PackProgress, Packed, Packing},
    view::*,
    wire,
};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

/// 2026-11-20T13:57:42Z
pub const NOW: Timestamp = Timestamp(1_795_183_062_000);

/// A regtest invoice is shown, not paid: its text only has to look like one.
pub const BOLT11: &str = "lnbcrt21u1p5kv9mzpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpusp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9qrsgqm2n4xtk0s7l2c6rqv7j8q3h5w9d4f6a2y8e7u5t3r9w2q4z6x8c7v5b3n1m";

pub fn id(byte: u8) -> RequestId {
    RequestId([byte; 32])
}

pub fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::of("desk", name)
}

fn ago(secs: u64) -> Timestamp {
    NOW.minus_secs(secs)
}

fn step(secs_ago: u64, ms: u64, machine: &str, state: &str, seq: u64) -> TimelineStep {
    TimelineStep {
        at: Timestamp(ago(secs_ago).0 + ms),
        machine: machine.into(),
        state: state.into(),
        detail: None,
        seq,
        event_hash: EventHash::of(&[seq as u8, secs_ago as u8]),
    }
}

/// A job to vary.
pub fn job(byte: u8, role: JobRole, kind: u16, name: &str, state: &str) -> JobView {
    JobView {
        request_id: id(byte),
        role,
        kind,
        kind_name: name.into(),
        peer: Some(Pubkey([byte.wrapping_mul(7); 32])),
        state: state.into(),
        payment_state: "quoted".into(),
        over: false,
        succeeded: false,
        waiting_for: None,
        amount_msat: Msat::from_sat(2_100),
        fee_msat: None,
        bid_msat: None,
        payment: Some(PaymentPolicy::After),
        payment_hash: None,
        preimage: None,
        bolt11: None,
        result_sha256: None,
        reason: None,
        created_at: ago(u64::from(byte) * 60 + 30),
        updated_at: ago(u64::from(byte) * 60),
        refund: None,
        timeline: vec![step(u64::from(byte) * 60 + 30, 112, "execution", "received", 1)],
        proofs: Proofs { request_seen: Some(ProofSource::Relay), ..Default::default() },
    }
}

pub fn paid(byte: u8, role: JobRole, kind: u16, name: &str) -> JobView {
    let preimage = Preimage([byte; 32]);
    let at = u64::from(byte) * 60;
    let mut timeline = vec![
        step(at + 30, 112, "execution", "received", 1),
        step(at + 30, 130, "execution", "accepted", 2),
        step(at + 30, 171, "execution", "running", 3),
        step(at + 27, 903, "execution", "delivered", 4),
        step(at + 27, 921, "payment", "invoiced", 5),
        step(at + 26, 420, "payment", "paid", 6),
    ];
    timeline[3].detail = Some("result of 1,204 bytes, exit code 0".into());
    JobView {
        payment_state: "paid".into(),
        over: true,
        succeeded: true,
        fee_msat: Some(Msat::ZERO),
        payment_hash: Some(preimage.payment_hash()),
        preimage: Some(preimage),
        bolt11: Some(BOLT11.into()),
        result_sha256: Some(Sha256Hash::of(&[byte])),
        timeline,
        proofs: Proofs {
            request_seen: Some(ProofSource::Relay),
            work_accepted: Some(ProofSource::Local),
            result_delivered: Some(ProofSource::Relay),
            invoice_seen: Some(ProofSource::Wallet),
            paid: Some(ProofSource::Wallet),
            settled: Some(ProofSource::Wallet),
        },
        ..job(byte, role, kind, name, "delivered")
    }
}

fn jobs() -> Vec<Arc<JobView>> {
    let running = JobView {
        waiting_for: Some("us".into()),
        timeline: vec![
            step(90, 112, "execution", "received", 1),
            step(90, 141, "execution", "accepted", 2),
            step(89, 871, "execution", "running", 3),
        ],
        proofs: Proofs {
            request_seen: Some(ProofSource::Relay),
            work_accepted: Some(ProofSource::Local),
            ..Default::default()
        },
        ..job(1, JobRole::Provider, 5930, "sandbox-run", "running")
    };
    let ask = JobView {
        waiting_for: Some("operator".into()),
        bid_msat: Some(Msat::from_sat(2_500)),
        reason: Some("The request names nobody, and your rule for open requests is to ask.".into()),
        ..job(2, JobRole::Provider, 5931, "repo-index", "waiting_operator")
    };
    let ask_long = JobView {
        waiting_for: Some("operator".into()),
        amount_msat: Msat::new(1_500_250).unwrap(),
        payment: Some(PaymentPolicy::Before),
        ..job(
            3,
            JobRole::Provider,
            5000,
            "text-extraction of a document with a name that never seems to come to an end",
            "waiting_operator",
        )
    };
    let unpaid = JobView {
        waiting_for: Some("buyer".into()),
        payment_state: "invoiced".into(),
        bolt11: Some(BOLT11.into()),
        payment_hash: Some(PaymentHash([9; 32])),
        ..job(4, JobRole::Provider, 5930, "sandbox-run", "delivered")
    };
    let buying = JobView {
        waiting_for: Some("provider".into()),
        peer: None,
        ..job(5, JobRole::Buyer, 5000, "text-extraction", "requested")
    };
    let failed = JobView {
        over: true,
        reason: Some(
            "The command ran longer than its limit of 20 s and was ended. Nothing was paid.".into(),
        ),
        ..job(8, JobRole::Provider, 5930, "sandbox-run", "failed")
    };
    let refused = JobView {
        over: true,
        amount_msat: Msat::from_sat(900),
        reason: Some("The bid of 900 sat is below the price of 2,100 sat.".into()),
        ..job(9, JobRole::Provider, 5931, "repo-index", "refused")
    };
    let mut jobs = vec![running, ask, ask_long, unpaid, buying, failed, refused];
    jobs.extend([
        paid(11, JobRole::Provider, 5930, "sandbox-run"),
        paid(12, JobRole::Buyer, 5931, "repo-index"),
        paid(14, JobRole::Provider, 5000, "text-extraction"),
    ]);
    jobs.into_iter().map(Arc::new).collect()
}

pub fn payment(name: &str, direction: Direction, state: PaymentState, sat: u32) -> PaymentView {
    PaymentView {
        key: key(name),
        direction,
        state,
        amount_msat: Msat::from_sat(sat),
        fee_msat: None,
        memo: name.into(),
        payment_hash: Some(PaymentHash([7; 32])),
        preimage: None,
        account: wire::AccountId::operator(),
        rail: wire::Rail::Bolt11,
        request: Some(BOLT11.into()),
        reference: None,
        payee: None,
        waits_for: None,
        expires_at: Some(NOW.plus_secs(3_000)),
        job: None,
        detail: None,
        created_at: ago(700),
        updated_at: ago(600),
    }
}

fn payments() -> Vec<Arc<PaymentView>> {
    let settled = PaymentView {
        preimage: Some(Preimage([7; 32])),
        job: Some(id(11)),
        ..payment("sandbox-run", Direction::In, PaymentState::Settled, 2_100)
    };
    let sent = PaymentView {
        fee_msat: Some(Msat::new(1_250).unwrap()),
        job: Some(id(12)),
        ..payment("repo-index", Direction::Out, PaymentState::Settled, 4_000)
    };
    let lost = PaymentView {
        detail: Some("The wallet went away while the payment was on its way.".into()),
        ..payment("text-extraction", Direction::Out, PaymentState::Unknown, 1_500)
    };
    let failed = PaymentView {
        detail: Some("No route was found to the payee within the limit for fees.".into()),
        fee_msat: Some(Msat::ZERO),
        ..payment(
            "coffee, and a very long memo that says why",
            Direction::Out,
            PaymentState::Failed,
            250_000,
        )
    };
    let open = payment("Top up", Direction::In, PaymentState::Pending, 21_000);
    [open, settled, lost, sent, failed].into_iter().map(Arc::new).collect()
}

fn relays() -> Vec<RelayView> {
    vec![
        RelayView {
            url: "ws://127.0.0.1:7447".into(),
            state: RelayState::Connected,
            detail: None,
            since: ago(5_400),
        },
        RelayView {
            url: "wss://relay.example.com".into(),
            state: RelayState::Disconnected,
            detail: Some("refused the connection; next try in 40 s".into()),
            since: ago(65),
        },
    ]
}

/// A wallet that is ready.
fn full() -> WalletView {
    WalletView {
        state: WalletState::Ready,
        balance_msat: Some(Msat::new(1_204_350_250).unwrap()),
        pending_in_msat: Some(Msat::from_sat(2_100)),
        pending_out_msat: Some(Msat::ZERO),
        inbound_msat: Some(Msat::from_sat(480_000)),
        onchain_msat: Some(Msat::from_sat(310_000)),
        as_of: Some(ago(12)),
        backend: Some("ldk-node".into()),
        receives: vec![Rail::Bolt11],
        pays: vec![Rail::Bolt11],
        accounts: Vec::new(),
        fingerprint: Some("3f2a-90c1-77de-0b64".into()),
        other: None,
        node_id: Some("03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad".into()),
        detail: None,
    }
}

/// A desk in the middle of a good day.
pub fn busy() -> View {
    let offer = |kind, name: &str, sat, unavailable: Option<&str>| OfferView {
        kind,
        name: name.into(),
        price_msat: Msat::from_sat(sat),
        payment: PaymentPolicy::After,
        unavailable: unavailable.map(Into::into),
    };
    View {
        network: Network::Practice,
        at: NOW,
        identity: Some(IdentityView {
            npub: "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg".into(),
            pubkey: "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
                .parse()
                .unwrap(),
            kept_in: "file".into(),
            backed_up: false,
            name: None,
        }),
        relays: relays(),
        provider: ProviderView {
            state: ProviderState::Online,
            since: ago(5_400),
            blockers: Vec::new(),
            offers: vec![
                offer(5930, "sandbox-run", 2_100, None),
                offer(5931, "repo-index", 4_000, None),
                offer(5000, "text-extraction", 1_500, Some("The text extractor did not start.")),
            ],
            demand: vec![
                (DemandRisk::Aimed, DemandAnswer::Accept),
                (DemandRisk::Open, DemandAnswer::Ask),
                (DemandRisk::Starter, DemandAnswer::Accept),
            ],
        },
        wallet: full(),
        jobs: jobs(),
        payments: payments(),
        receipts: Vec::new(),
        dead_letters: Vec::new(),
        log: LogView {
            events: 1_204,
            last: Some(log_row(1_204)),
            checkpoint_at: Some(ago(240)),
            checkpoint_size: Some(1_180),
            dead_letters: 0,
        },
        services: vec![
            ServiceView {
                name: "executor".into(),
                state: ServiceState::Running,
                restarts: 1,
                detail: None,
            },
            ServiceView {
                name: "practice".into(),
                state: ServiceState::Running,
                restarts: 0,
                detail: Some("block 118".into()),
            },
        ],
        earned_today_msat: Msat::from_sat(14_700),
        spent_today_msat: Msat::from_sat(4_000),
        reserved_msat: Msat::from_sat(1_521),
        ..Default::default()
    }
}

/// A desk that can't sell and knows little.
pub fn troubled() -> View {
    let busy = busy();
    View {
        provider: ProviderView {
            state: ProviderState::Offline,
            blockers: vec![
                Blocker {
                    code: "no_sandbox".into(),
                    message:
                        "No sandbox works on this machine, so commands of strangers can't run."
                            .into(),
                    hint: Some(
                        "Install bubblewrap, or allow user namespaces. pilothouse doctor says how."
                            .into(),
                    ),
                },
                Blocker {
                    code: "wallet_not_ready".into(),
                    message: "The wallet is not reachable.".into(),
                    hint: None,
                },
            ],
            ..busy.provider
        },
        wallet: WalletView {
            state: WalletState::NotReachable,
            detail: Some(
                "The wallet program ended with signal 9; it is started again in 4 s.".into(),
            ),
            ..Default::default()
        },
        relays: Vec::new(),
        jobs: Vec::new(),
        payments: Vec::new(),
        services: vec![ServiceView {
            name: "executor".into(),
            state: ServiceState::Restarting,
            restarts: 3,
            detail: Some("ended with signal 9".into()),
        }],
        dead_letters: vec![letter(1), letter(2)],
        log: LogView { dead_letters: 2, checkpoint_at: None, ..busy.log },
        ..busy
    }
}

/// Something that was given up.
fn letter(number: u64) -> DeadLetterView {
    DeadLetterView {
        effect: domain::EffectId { stream: StreamId::of("job", id(8)), seq: number, index: 0 },
        adapter: "relay",
        what: format!("Publish the result of job 0808080{number}"),
        job: Some(id(8)),
        tries: 40,
        why: "no relay took it: relay.example.com refused the connection".into(),
        at: ago(90),
    }
}

/// The first second of a new home.
pub fn empty() -> View {
    View { at: NOW, ..Default::default() }
}

pub fn log_row(position: u64) -> LogRow {
    let kinds = [
        ("provider.went_online", "Went online with 3 offers"),
        ("job.received", "Request for sandbox-run seen on 127.0.0.1:7447"),
        ("job.accepted", "Accepted sandbox-run for 2,100 sat"),
        ("job.delivered", "Result of 1,204 bytes published, exit code 0"),
        ("payment.invoice_made", "Invoice made for 2,100 sat"),
        ("payment.settled", "Received 2,100 sat for sandbox-run"),
    ];
    let (type_name, summary) = kinds[(position % 6) as usize];
    LogRow {
        position,
        stream: StreamId::of("job", id((position % 13 + 1) as u8)),
        seq: position % 6 + 1,
        at: Timestamp(NOW.0 - 1_204_000 * 3 + position * 3_000 - 17),
        type_name: type_name.into(),
        summary: summary.into(),
    }
}

/// How a fake desk behaves where a test wants it otherwise.
#[derive(Default)]
pub struct Manner {
    /// Questions are never answered.
    pub silent: bool,
    /// Questions are refused.
    pub failing: bool,
    /// Commands are refused with this.
    pub refusal: Option<ErrorBody>,
    /// Commands are never answered.
    pub stuck: bool,
    /// There is nothing older than what is hot.
    pub new: bool,
    /// What the wallet reads of a text, where it is not a plain invoice.
    pub quote: Option<Result<serde_json::Value, ErrorBody>>,
    /// The wallet refuses every change with this.
    pub wallet_refusal: Option<ErrorBody>,
    /// What a bought job brought, where it is not a short text.
    pub result: Option<JobResult>,
    /// What the last window of this network left behind.
    pub memory: Option<String>,
    /// What could not be packed.
    pub left_out: Vec<String>,
}

/// A desk for one window.
pub struct FakeDesk {
    view: Mutex<Arc<View>>,
    pub sent: Mutex<Vec<Command>>,
    pub asked: Mutex<Vec<Query>>,
    manner: Mutex<Manner>,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    /// Channels of questions that are never answered.
    kept: Mutex<Vec<SyncSender<Answer>>>,
    kept_replies: Mutex<Vec<SyncSender<Reply>>>,
    /// What was packed or is being packed; a stuck desk keeps the channels.
    pub packed: Mutex<Vec<PathBuf>>,
    kept_packings: Mutex<Vec<SyncSender<Result<Packed, ErrorBody>>>>,
    pub progress: Mutex<Option<Arc<PackProgress>>>,
    /// What the window wrote of itself.
    pub remembered: Mutex<Vec<String>>,
}

impl FakeDesk {
    pub fn new(view: View) -> Arc<Self> {
        Self::with(view, Manner::default())
    }

    pub fn with(view: View, manner: Manner) -> Arc<Self> {
        Arc::new(Self {
            view: Mutex::new(Arc::new(view)),
            sent: Mutex::default(),
            asked: Mutex::default(),
            manner: Mutex::new(manner),
            wake: Mutex::default(),
            kept: Mutex::default(),
            kept_replies: Mutex::default(),
            packed: Mutex::default(),
            kept_packings: Mutex::default(),
            progress: Mutex::default(),
            remembered: Mutex::default(),
        })
    }

    pub fn change(&self, change: impl FnOnce(&mut View)) {
        let mut held = self.view.lock().unwrap();
        let mut view = (**held).clone();
        change(&mut view);
        *held = Arc::new(view);
        drop(held);
        self.woken();
    }

    pub fn behave(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    fn woken(&self) {
        if let Some(wake) = &*self.wake.lock().unwrap() {
            wake();
        }
    }

    /// The calls of the wallet that were asked, of one method.
    pub fn asked_of_wallet(&self, wanted: &str) -> Vec<serde_json::Value> {
        let asked = self.asked.lock().unwrap();
        let of_wallet = asked.iter().filter_map(|query| match query {
            Query::Wallet { method, params } if method == wanted => Some(params.clone()),
            _ => None,
        });
        of_wallet.collect()
    }

    pub fn commands(&self) -> Vec<Command> {
        self.sent.lock().unwrap().clone()
    }

    /// What the engine would do with a command, as far as a screen can see.
    fn obey(&self, command: &Command) -> Reply {
        match command {
            Command::ProviderOnline => {
                self.change(|view| view.provider.state = ProviderState::Online);
                Reply::Done
            }
            Command::ProviderOffline => {
                self.change(|view| view.provider.state = ProviderState::Offline);
                Reply::Done
            }
            Command::WalletReceive(wire::Receive { key, amount_msat, memo, .. }) => {
                let made = PaymentView {
                    key: key.clone(),
                    amount_msat: amount_msat.unwrap_or_default(),
                    ..payment(memo, Direction::In, PaymentState::Pending, 1)
                };
                self.change(|view| view.payments.insert(0, Arc::new(made)));
                Reply::PaymentStarted { key: key.clone() }
            }
            Command::WalletPay(pay) => {
                let wire::Pay { key, .. } = pay;
                let made = PaymentView {
                    key: key.clone(),
                    amount_msat: pay.amount_msat,
                    account: pay.account.clone(),
                    ..payment("coffee", Direction::Out, PaymentState::Pending, 250_000)
                };
                self.change(|view| view.payments.insert(0, Arc::new(made)));
                Reply::PaymentStarted { key: key.clone() }
            }
            Command::WalletAnswer { key, approve } => {
                let state = if *approve { PaymentState::Pending } else { PaymentState::Failed };
                self.change(|view| {
                    for payment in view.payments.iter_mut().filter(|one| one.key == *key) {
                        Arc::make_mut(payment).state = state;
                    }
                });
                Reply::Done
            }
            Command::JobSubmit(draft) => {
                let bought = JobView {
                    waiting_for: Some("provider".into()),
                    amount_msat: draft.bid_msat,
                    ..job(99, JobRole::Buyer, draft.kind, "sandbox-run", "requested")
                };
                self.change(|view| view.jobs.insert(0, Arc::new(bought)));
                Reply::JobSubmitted { request_id: id(99) }
            }
            _ => Reply::Done,
        }
    }
}

fn refusal() -> ErrorBody {
    ErrorBody::new("store_unreadable", "The log could not be read. Nothing in it was changed.")
        .hint("Run pilothouse events verify.")
}

/// A result that people can read.
pub fn text(text: &str) -> JobResult {
    JobResult::Text {
        text: text.into(),
        cut: false,
        size_bytes: text.len() as u64,
        media_type: "text/plain".into(),
    }
}

impl FakeDesk {
    fn identity(&self, change: impl FnOnce(&mut IdentityView)) -> Receiver<Reply> {
        let (send, receive) = sync_channel(1);
        let refusal = self.manner.lock().unwrap().refusal.clone();
        if refusal.is_none() {
            self.change(|view| change(view.identity.as_mut().unwrap()));
        }
        send.send(refusal.map_or(Reply::Done, Reply::Refused)).unwrap();
        self.woken();
        receive
    }
}

impl DeskPort for FakeDesk {
    fn view(&self) -> Arc<View> {
        self.view.lock().unwrap().clone()
    }

    fn send(&self, command: Command) -> Receiver<Reply> {
        let (send, receive) = sync_channel(1);
        self.sent.lock().unwrap().push(command.clone());
        let (refusal, stuck) = {
            let manner = self.manner.lock().unwrap();
            (manner.refusal.clone(), manner.stuck)
        };
        if stuck {
            self.kept_replies.lock().unwrap().push(send);
            return receive;
        }
        let reply = refusal.map_or_else(|| self.obey(&command), Reply::Refused);
        send.send(reply).unwrap();
        self.woken();
        receive
    }

    fn ask(&self, query: Query) -> Receiver<Answer> {
        let (send, receive) = sync_channel(1);
        self.asked.lock().unwrap().push(query.clone());
        let (silent, failing) = {
            let manner = self.manner.lock().unwrap();
            (manner.silent, manner.failing)
        };
        if silent {
            self.kept.lock().unwrap().push(send);
            return receive;
        }
        let answer = if failing { Answer::Failed(refusal()) } else { self.answer(query) };
        send.send(answer).unwrap();
        self.woken();
        receive
    }

    fn on_change(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        *self.wake.lock().unwrap() = Some(wake);
    }

    fn words_written(&self) -> Receiver<Reply> {
        self.identity(|identity| identity.backed_up = true)
    }

    fn name_machine(&self, name: String) -> Receiver<Reply> {
        self.identity(|identity| identity.name = (!name.is_empty()).then_some(name))
    }

    fn pack(&self, path: PathBuf) -> Packing {
        let (send, outcome) = sync_channel(1);
        let progress = Arc::<PackProgress>::default();
        let manner = self.manner.lock().unwrap();
        if manner.stuck {
            self.kept_packings.lock().unwrap().push(send);
        } else if manner.failing {
            let message = "The folder was not packed: the directory has more than 20000 files; choose a smaller \
                 one, or let .gitignore leave things out. Nothing was kept or sent.";
            send.send(Err(ErrorBody::new("bad_path", message))).unwrap();
        } else {
            let sha256 = Sha256Hash::of(path.as_os_str().as_encoded_bytes());
            let media_type = "application/gzip".to_owned();
            let packed = Packed {
                input: engine::command::JobInput::Blob { sha256, len: 2_100_000, media_type },
                files: 1_204,
                left_out: manner.left_out.clone(),
                left_out_count: manner.left_out.len() as u64,
            };
            send.send(Ok(packed)).unwrap();
        }
        *self.progress.lock().unwrap() = Some(progress.clone());
        self.packed.lock().unwrap().push(path);
        Packing { progress, outcome }
    }

    fn memory(&self) -> Option<String> {
        self.manner.lock().unwrap().memory.clone()
    }

    fn remember(&self, memory: String) {
        self.remembered.lock().unwrap().push(memory);
    }

    fn seed_words(&self) -> Result<Vec<String>, ErrorBody> {
        if self.manner.lock().unwrap().failing {
            return Err(ErrorBody::new("vault_locked", "The vault is locked. No word was shown."));
        }
        let words =
            "leader monkey parrot ring guide accident before fence cannon height naive bean";
        Ok(words.split(' ').map(String::from).collect())
    }
}

impl FakeDesk {
    fn answer(&self, query: Query) -> Answer {
        let view = self.view();
        match query {
            Query::Log { from, count, filter } => {
                let fits = |row: &LogRow| {
                    filter.as_deref().is_none_or(|text| {
                        [row.summary.as_str(), row.stream.as_str(), row.type_name.as_str()]
                            .iter()
                            .any(|place| place.to_lowercase().contains(&text.to_lowercase()))
                    })
                };
                if filter.is_none() {
                    let total = view.log.events;
                    let end = (from + u64::from(count)).min(total + 1);
                    return Answer::Log { total, rows: (from..end).map(log_row).collect() };
                }
                // The newest that hold it, oldest first.
                let newest = (1..=view.log.events).rev().map(log_row).filter(fits);
                let mut rows: Vec<LogRow> = newest.take(count as usize).collect();
                rows.reverse();
                Answer::Log { total: rows.len() as u64, rows }
            }
            Query::Event { position } => Answer::Event(EventDetail {
                row: log_row(position),
                hash: EventHash::of(&position.to_be_bytes()),
                prev: EventHash::of(&(position - 1).to_be_bytes()),
                cause: Some(format!("{}#1.0", log_row(position).stream)),
                pending_effects: Vec::new(),
                json: format!(
                    r#"{{"at":1,"data":{{"amount_msat":2100000,"text":"Ünïcode → ok"}},"seq":{position}}}"#
                ),
            }),
            Query::Wallet { method, params } => {
                let manner = self.manner.lock().unwrap();
                match crate::fake_wallet::answer(&method, &params, &manner) {
                    Ok(value) => Answer::Wallet { value },
                    Err(error) => Answer::Failed(error),
                }
            }
            Query::JobResult { .. } => {
                let manner = self.manner.lock().unwrap();
                Answer::JobResult(manner.result.clone().unwrap_or_else(|| text("Done.\n")))
            }
            Query::Jobs { .. } if self.manner.lock().unwrap().new => {
                Answer::Jobs { jobs: Vec::new() }
            }
            Query::Payments { .. } if self.manner.lock().unwrap().new => {
                Answer::Payments { payments: Vec::new() }
            }
            Query::Jobs { before, .. } => Answer::Jobs {
                jobs: match before {
                    None => {
                        (20..70).map(|n| paid(n, JobRole::Provider, 5930, "sandbox-run")).collect()
                    }
                    Some(_) => vec![paid(80, JobRole::Provider, 5000, "text-extraction")],
                },
            },
            Query::Payments { .. } => Answer::Payments {
                payments: vec![PaymentView {
                    preimage: Some(Preimage([1; 32])),
                    updated_at: ago(90_000),
                    ..payment("An older payment", Direction::In, PaymentState::Settled, 700)
                }],
            },
        }
    }
}
