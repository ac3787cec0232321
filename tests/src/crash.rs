//! Kill points: two real desks trade while one process or more is killed; then everything is checked.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    desk::{Desk, text},
    programs::{kill, until},
};

/// Time for a restart in the middle; an unpaid invoice stays open for as long, and a grace.
const JOB_SECS: u32 = 30;
const OVER_SECS: u64 = 100;
/// Longer than an unpaid invoice stays open: the job's time and the provider's grace.
const REACHED_WITHIN: Duration = Duration::from_secs(150);

/// Whose process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Provider,
    Buyer,
    ProviderWallet,
    BuyerWallet,
    Practice,
    BothDesks,
    BothWallets,
    /// Every process at once, as when the machine loses power.
    All,
}

impl Who {
    pub const ALL: [Self; 8] = [
        Self::Provider,
        Self::Buyer,
        Self::ProviderWallet,
        Self::BuyerWallet,
        Self::Practice,
        Self::BothDesks,
        Self::BothWallets,
        Self::All,
    ];

    /// The fault points that its processes count for themselves: the network's, the provider's,
    /// the buyer's.
    fn armed(self) -> [Option<&'static str>; 3] {
        const DESK: Option<&str> = Some("PILOTHOUSE_CRASH_AT");
        const WALLET: Option<&str> = Some("PILOTHOUSE_WALLET_CRASH_AT");
        match self {
            Self::Provider => [None, DESK, None],
            Self::Buyer => [None, None, DESK],
            Self::ProviderWallet => [None, WALLET, None],
            Self::BuyerWallet => [None, None, WALLET],
            Self::Practice => [Some("PILOTHOUSE_PRACTICE_CRASH_AT"), None, None],
            Self::BothDesks => [None, DESK, DESK],
            Self::BothWallets => [None, WALLET, WALLET],
            Self::All => [None; 3],
        }
    }
}

/// When it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At the n-th step since its start (see `host::faults`).
    Step(u32),
    /// This long after the job was submitted.
    AfterMs(u64),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::AfterMs(ms) => write!(f, "{ms} ms"),
        }
    }
}

/// What one point came to, where nothing was violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Killed before the job was bought; it was bought after the restart.
    BeforeTheJob,
    DuringTheJob,
    /// The job was over before the step came.
    Never,
}

/// Two desks on the practice network of a third, kept over many points.
#[derive(Debug)]
pub struct Pair {
    /// Only lends its network, so that a desk's end is not also the network's.
    network: Desk,
    provider: Desk,
    buyer: Desk,
    provider_pubkey: String,
    opening_msat: [u64; 2],
    events_seen: [u64; 2],
    wallet_events_seen: [u64; 2],
    bought: Vec<String>,
}

impl Pair {
    /// Starts the desks in fresh homes below `dir`.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut network = Desk::new(dir.join("network"));
        network.start(&[])?;
        network.wait("wallet=ready", 60)?;
        let mut provider = Desk::joining(dir.join("provider"), &network);
        provider.start(&[])?;
        let mut buyer = Desk::joining(dir.join("buyer"), &network);
        buyer.start(&[])?;
        provider.ready(true)?;
        buyer.ready(false)?;
        Ok(Self {
            provider_pubkey: provider.pubkey()?,
            opening_msat: [provider.balance_msat()?, buyer.balance_msat()?],
            network,
            provider,
            buyer,
            events_seen: [0; 2],
            wallet_events_seen: [0; 2],
            bought: Vec::new(),
        })
    }

    /// Buys one job, kills `who` at that moment, starts everything again, and checks every promise.
    ///
    /// # Errors
    ///
    /// What did not hold. The pair is of no use after that.
    pub fn point(&mut self, who: Who, moment: Moment) -> anyhow::Result<Reached> {
        let reached = self.trade(who, moment).with_context(|| format!("{who:?} at {moment}"))?;
        let after = || format!("after {who:?} at {moment}");
        self.check(false).with_context(after)?;
        self.check_channels().with_context(after)?;
        self.check_money().with_context(after)?;
        Ok(reached)
    }

    fn trade(&mut self, who: Who, moment: Moment) -> anyhow::Result<Reached> {
        self.arm(who, moment)?;
        let mut submitted = false;
        if self.ready_or_crashed(who)? {
            // The desk may die under this very command; its log says later whether it took it.
            submitted = self.buy().is_ok();
        }
        if let Moment::AfterMs(ms) = moment {
            std::thread::sleep(Duration::from_millis(ms));
            self.note_events()?;
            self.strike(who);
        }
        let crashed = match moment {
            Moment::AfterMs(_) => true,
            Moment::Step(_) => self.crashed_or_over(who)?,
        };
        if moment != Moment::AfterMs(0) {
            self.note_events().ok();
        }
        self.restart(who)?;
        self.provider.ready(true)?;
        self.buyer.ready(false)?;
        if !submitted {
            self.buy()?;
        }
        self.buyer.wait("idle", OVER_SECS).context("the buyer's jobs end")?;
        let last = self.bought.last().cloned().unwrap_or_default();
        if self.buyer.job(&last)?["succeeded"] == true {
            self.provider.wait(&format!("job={last}:succeeded"), OVER_SECS)?;
        }
        Ok(match (crashed, submitted) {
            (false, _) => Reached::Never,
            (true, false) => Reached::BeforeTheJob,
            (true, true) => Reached::DuringTheJob,
        })
    }

    fn buy(&mut self) -> anyhow::Result<()> {
        let html = format!("<p>Job {} of the kill points</p>", self.bought.len() + 1);
        let id = self.buyer.buy_text(&self.provider_pubkey, &html, JOB_SECS)?;
        self.bought.push(id);
        Ok(())
    }

    /// Starts the processes that count their steps anew, with the step they die at.
    fn arm(&mut self, who: Who, moment: Moment) -> anyhow::Result<()> {
        let Moment::Step(step) = moment else { return Ok(()) };
        for (desk, name) in self.desks().into_iter().zip(who.armed()) {
            if let Some(name) = name {
                ensure!(desk.stop()?.success(), "the desk stopped with an error");
                desk.start(&[(name, step.to_string())])?;
            }
        }
        Ok(())
    }

    /// Whether every desk became ready; false where a fault point was reached before.
    fn ready_or_crashed(&mut self, who: Who) -> anyhow::Result<bool> {
        let mut ready = false;
        until("the desks get ready", REACHED_WITHIN, || {
            if self.crashed(who) {
                return Ok(true);
            }
            let short = |desk: &Desk, condition: &str| desk.wait(condition, 1).is_ok();
            ready = short(&self.buyer, "wallet=ready") && short(&self.provider, "wallet=ready");
            if ready && !short(&self.provider, "provider=online") {
                // A desk that was stopped in order does not sell again by itself.
                self.provider.run(["provider", "online"])?;
                ready = short(&self.provider, "provider=online");
            }
            Ok(ready)
        })?;
        Ok(ready)
    }

    /// Waits until the fault point is reached, or the job is over on both sides without it.
    fn crashed_or_over(&mut self, who: Who) -> anyhow::Result<bool> {
        let job = self.bought.last().cloned();
        let mut crashed = false;
        until("the step is reached or the job over", REACHED_WITHIN, || {
            crashed = self.crashed(who);
            if crashed {
                return Ok(true);
            }
            let Some(job) = &job else { return Ok(false) };
            let over = |desk: &Desk| desk.job(job).is_ok_and(|job| job["over"] == true);
            Ok(over(&self.buyer) && over(&self.provider))
        })?;
        Ok(crashed)
    }

    fn crashed(&mut self, who: Who) -> bool {
        let again = |desk: &Desk, name: &str| {
            let status = desk.status().unwrap_or_default();
            let services = status["services"].as_array().cloned().unwrap_or_default();
            services.iter().any(|service| {
                service["name"] == name && service["restarts"].as_u64().unwrap_or(0) > 0
            })
        };
        match who {
            Who::Provider => !self.provider.is_running(),
            Who::Buyer => !self.buyer.is_running(),
            Who::BothDesks => !self.provider.is_running() || !self.buyer.is_running(),
            Who::ProviderWallet => again(&self.provider, "executor"),
            Who::BuyerWallet => again(&self.buyer, "executor"),
            Who::BothWallets => again(&self.provider, "executor") || again(&self.buyer, "executor"),
            Who::Practice => again(&self.network, "practice"),
            Who::All => false,
        }
    }

    /// SIGKILL, from outside.
    fn strike(&mut self, who: Who) {
        let desks: &[bool] = match who {
            Who::Provider => &[true, false],
            Who::Buyer => &[false, true],
            Who::BothDesks | Who::All => &[true, true],
            _ => &[false, false],
        };
        let mut programs = Vec::new();
        if matches!(who, Who::ProviderWallet | Who::BothWallets | Who::All) {
            programs.push(self.provider.program("wall"));
        }
        if matches!(who, Who::BuyerWallet | Who::BothWallets | Who::All) {
            programs.push(self.buyer.program("wall"));
        }
        if matches!(who, Who::Practice | Who::All) {
            programs.push(self.network.program("prac"));
        }
        if who == Who::All {
            self.network.kill();
        }
        if desks[0] {
            self.provider.kill();
        }
        if desks[1] {
            self.buyer.kill();
        }
        programs.into_iter().flatten().for_each(kill);
    }

    /// Ends what is armed or dead and starts it as it would be started any day.
    fn restart(&mut self, who: Who) -> anyhow::Result<()> {
        if who == Who::BothDesks {
            // The first to reach the step takes the other with it.
            self.provider.kill();
            self.buyer.kill();
        }
        for (desk, armed) in self.desks().into_iter().zip(who.armed()) {
            if desk.is_running() && armed.is_some() {
                desk.stop()?;
            }
            if !desk.is_running() {
                desk.kill();
                desk.start(&[])?;
            }
        }
        Ok(())
    }

    fn desks(&mut self) -> [&mut Desk; 3] {
        [&mut self.network, &mut self.provider, &mut self.buyer]
    }

    /// Remembers how long the logs are known to be.
    fn note_events(&mut self) -> anyhow::Result<()> {
        for (seen, desk) in self.events_seen.iter_mut().zip([&self.provider, &self.buyer]) {
            let status = desk.status()?;
            *seen = (*seen).max(status["log"]["events"].as_u64().unwrap_or(0));
        }
        Ok(())
    }

    /// Every promise, however the processes died. Until `all_over` the provider may still wait for
    /// a payment that failed: its invoice has to expire first.
    fn check(&mut self, all_over: bool) -> anyhow::Result<()> {
        let sides = [("provider", &self.provider), ("buyer", &self.buyer)];
        for (at, (name, desk)) in sides.into_iter().enumerate() {
            let events = desk.verify_log().with_context(|| format!("the {name}'s log"))?;
            let seen = self.events_seen[at];
            ensure!(events >= seen, "the {name}'s log shrank from {seen} to {events} events");
            self.events_seen[at] = events;
            desk.verify_receipts().with_context(|| format!("the {name}'s receipts"))?;
            for (stream, ends) in desk.ends()? {
                let open = !all_over && name == "provider" && ends == 0;
                ensure!(ends == 1 || open, "{name}: {stream} has {ends} terminal events");
            }
            let panics = desk.panics()?;
            ensure!(panics.is_empty(), "{name}: {panics:?}");
        }
        for id in &self.bought {
            self.check_job(id, all_over)?;
        }
        Ok(())
    }

    /// No node came back with channel state that was older than the channel itself: LDK closes such
    /// a channel, and what was on its way in it below the dust limit is lost.
    fn check_channels(&self) -> anyhow::Result<()> {
        for log in [
            self.provider.home.join("wallet/node/node.log"),
            self.buyer.home.join("wallet/node/node.log"),
            self.network.home.join("wallet/node/node.log"),
            self.network.home.join("practice/practice.log"),
        ] {
            let bytes = std::fs::read(&log).with_context(|| log.display().to_string())?;
            let stale = String::from_utf8_lossy(&bytes).contains("stale compared to the current");
            ensure!(
                !stale,
                "a channel was closed, as its node came back behind: {}",
                log.display()
            );
        }
        Ok(())
    }

    fn check_job(&self, id: &str, all_over: bool) -> anyhow::Result<()> {
        let bought = self.buyer.job(id)?;
        ensure!(bought["over"] == true, "job {id} is not over for the buyer: {bought}");
        let explicit = bought["succeeded"] == true || bought["reason"].is_string();
        ensure!(explicit, "job {id} ended with neither result nor reason: {bought}");
        if bought["succeeded"] == true {
            ensure!(bought["result_sha256"].is_string(), "job {id} has no result: {bought}");
            ensure!(bought["preimage"].is_string(), "job {id} has no preimage: {bought}");
        }
        // A provider that died before it logged the request may not know the job.
        let Ok(sold) = self.provider.job(id) else {
            ensure!(bought["payment_hash"].is_null(), "job {id} was paid to nobody: {bought}");
            return Ok(());
        };
        let open = !all_over && sold["payment_state"] != "paid";
        ensure!(sold["over"] == true || open, "job {id} is not over for the provider: {sold}");
        if sold["payment_state"] == "paid" {
            let explicit = sold["succeeded"] == true || sold["reason"].is_string();
            ensure!(explicit, "job {id} was paid and has neither result nor reason: {sold}");
        }
        Ok(())
    }

    /// Nothing paid twice, and both balances are what the executors' payments add up to.
    fn check_money(&self) -> anyhow::Result<()> {
        let spent = settled(&self.buyer, "out")?;
        let earned = settled(&self.provider, "in")?;
        ensure!(settled(&self.provider, "out")?.is_empty(), "the provider paid somebody");
        ensure!(spent.len() <= self.bought_streams()?, "more payments than jobs: {}", spent.len());
        for (hash, (amount, _)) in &spent {
            let got = earned.get(hash).map(|(amount, _)| *amount);
            ensure!(got == Some(*amount), "{hash}: {amount} msat were paid, {got:?} arrived");
        }
        ensure!(earned.len() == spent.len(), "the provider got more payments than were made");
        let sum = |payments: &BTreeMap<String, (u64, u64)>| -> (u64, u64) {
            payments.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let (in_msat, _) = sum(&earned);
        let (out_msat, fees_msat) = sum(&spent);
        let balances = [self.provider.balance_msat()?, self.buyer.balance_msat()?];
        let [provider, buyer] = self.opening_msat;
        ensure!(
            balances == [provider + in_msat, buyer - out_msat - fees_msat],
            "balances {balances:?} are not {:?} + {in_msat} - {out_msat} - {fees_msat}",
            self.opening_msat
        );
        Ok(())
    }

    fn bought_streams(&self) -> anyhow::Result<usize> {
        Ok(self.buyer.ends()?.iter().filter(|(stream, _)| stream.starts_with("buy/")).count())
    }

    /// Waits until every job is over on both sides, checks all, stops, and verifies the
    /// executors' logs at rest.
    ///
    /// # Errors
    ///
    /// What did not hold, or a stop with an error.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.provider.wait("idle", OVER_SECS).context("the provider's jobs end")?;
        self.check(true).context("at the end")?;
        self.check_channels().context("at the end")?;
        self.check_money().context("at the end")?;
        ensure!(self.buyer.stop()?.success(), "the buyer's desk stopped with an error");
        ensure!(self.provider.stop()?.success(), "the provider's desk stopped with an error");
        ensure!(self.network.stop()?.success(), "the network's desk stopped with an error");
        for (seen, desk) in self.wallet_events_seen.iter_mut().zip([&self.provider, &self.buyer]) {
            desk.at_rest()?;
            *seen = desk.verify_wallet_log()?;
            ensure!(*seen > 0, "an executor's log is empty");
        }
        Ok(())
    }
}

/// Settled payments of one direction by payment hash: amount and fee. A hash seen twice is an error.
fn settled(desk: &Desk, direction: &str) -> anyhow::Result<BTreeMap<String, (u64, u64)>> {
    let mut found = BTreeMap::new();
    for payment in desk.payments()? {
        if payment["direction"] != direction || payment["state"] != "settled" {
            continue;
        }
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let hash = text(&payment["payment_hash"])?;
        let one = (number(&payment["amount_msat"]), number(&payment["fee_msat"]));
        if found.insert(hash.clone(), one).is_some() {
            bail!("{hash} was settled twice ({direction})");
        }
    }
    Ok(found)
}

/// One line of the matrix.
#[derive(Debug)]
pub struct Line {
    pub who: Who,
    pub moment: Moment,
    pub outcome: anyhow::Result<Reached>,
    pub took: Duration,
}

/// Runs points on one pair, and on a fresh pair after a violation.
#[derive(Debug)]
pub struct Matrix<'a> {
    dir: &'a Path,
    pair: Option<Pair>,
    made: u32,
    pub lines: Vec<Line>,
}

impl<'a> Matrix<'a> {
    pub fn new(dir: &'a Path) -> Self {
        Self { dir, pair: None, made: 0, lines: Vec::new() }
    }

    /// Runs one point and returns whether its moment came.
    pub fn run(&mut self, who: Who, moment: Moment) -> &Line {
        let started = Instant::now();
        let outcome = self.point(who, moment);
        if outcome.is_err() {
            self.pair = None;
        }
        self.lines.push(Line { who, moment, outcome, took: started.elapsed() });
        &self.lines[self.lines.len() - 1]
    }

    fn point(&mut self, who: Who, moment: Moment) -> anyhow::Result<Reached> {
        if self.pair.is_none() {
            self.made += 1;
            self.pair = Some(Pair::start(&self.dir.join(format!("pair-{}", self.made)))?);
        }
        self.pair.as_mut().context("no pair of desks")?.point(who, moment)
    }

    /// Ends the last pair.
    ///
    /// # Errors
    ///
    /// As [`Pair::finish`].
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.pair.take().map_or(Ok(()), Pair::finish)
    }

    pub fn violations(&self) -> usize {
        self.lines.iter().filter(|line| line.outcome.is_err()).count()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = format!("{:?}", self.who);
        write!(f, "{who:<15} {:<9} {:>6.1} s  ", self.moment.to_string(), self.took.as_secs_f64())?;
        match &self.outcome {
            Ok(reached) => write!(f, "{reached:?}"),
            Err(error) => write!(f, "VIOLATED {error:#}"),
        }
    }
}
