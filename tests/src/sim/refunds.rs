//! What the operators of the world do about money that they owe, and about what was given up.

use domain::{Msat, RequestId};
use engine::Command;
use nip90::provider::payment::Payment;

use super::{
    action::{Action, Asks},
    invariants::Checked,
    world::{World, msat, nth_of},
};

/// After so many failed attempts an operator hands the money back another way.
const ATTEMPTS: u32 = 4;

impl World {
    /// What an operator does about a debt by chance.
    pub fn give_back(&mut self, action: &Action) -> Checked {
        if let Action::Letter { desk, nth, again } = *action {
            return self.letter(desk, nth, again);
        }
        let (Action::Refund { desk, nth, .. } | Action::HandBack { desk, nth }) = *action else {
            return Ok(());
        };
        let at = self.at(desk);
        match (nth_of(self.owed(at).into_iter(), nth), action) {
            (Some(request_id), Action::Refund { asks, .. }) => self.refund(at, request_id, *asks),
            (Some(request_id), _) => self.hand_back(at, request_id),
            (None, _) => Ok(()),
        }
    }

    /// What an operator does about an effect that was given up.
    fn letter(&mut self, desk: u8, nth: u8, again: bool) -> Checked {
        let at = self.at(desk);
        let effects = self.desks[at].state.letters.iter().map(|(effect, _)| effect.clone());
        let Some(effect) = nth_of(effects, nth) else { return Ok(()) };
        match again {
            true => self.command(at, Command::EffectRetry { effect }),
            false => self.command(at, Command::EffectDrop { effect }),
        }
    }

    /// Everything that was given up is done again.
    pub fn retry_all(&mut self) -> Checked {
        for at in 0..self.desks.len() {
            let letters = self.desks[at].state.letters.iter();
            let given_up: Vec<_> = letters.map(|(effect, _)| effect.clone()).collect();
            for effect in given_up {
                self.command(at, Command::EffectRetry { effect })?;
            }
        }
        Ok(())
    }

    /// Jobs of a desk that owe money to their buyers.
    pub fn owed(&self, at: usize) -> Vec<RequestId> {
        let jobs = self.desks[at].state.provider.jobs();
        let due = jobs.filter(|job| job.payment == Payment::RefundDue);
        due.map(|job| job.request_id).collect()
    }

    /// Orders one refund, to an invoice that a buyer handed over.
    pub fn refund(&mut self, at: usize, request_id: RequestId, asks: Asks) -> Checked {
        let Some(job) = self.desks[at].state.provider.job(&request_id) else { return Ok(()) };
        let owed = job.paid_msat.unwrap_or_default().get();
        let attempt = job.refund.as_ref().map_or(0, |last| last.attempt);
        let invoiced = match asks {
            Asks::All | Asks::Known => owed,
            Asks::Less => (owed / 2).max(1),
            Asks::More => owed + 1,
        };
        let seed = match asks {
            Asks::Known => format!("refund/{at}/{owed}"),
            _ => format!("refund/{request_id}/{attempt}/{invoiced}"),
        };
        let bolt11 = self.money.foreign_invoice(&seed, invoiced, self.now);
        let amount_msat = (asks == Asks::Less).then(|| Msat::new(invoiced).unwrap_or_default());
        let max_fee_msat = msat(50);
        self.command(at, Command::JobRefund { request_id, bolt11, amount_msat, max_fee_msat })
    }

    pub fn hand_back(&mut self, at: usize, request_id: RequestId) -> Checked {
        let note = "handed over in cash".to_owned();
        self.command(at, Command::JobHandedBack { request_id, note })
    }

    /// The operators give back what they owe.
    pub fn refund_all(&mut self) -> Checked {
        for at in 0..self.desks.len() {
            for request_id in self.owed(at) {
                let job = self.desks[at].state.provider.job(&request_id);
                let refund = job.and_then(|job| job.refund.as_ref());
                if refund.is_some_and(|last| last.attempt >= ATTEMPTS) {
                    self.hand_back(at, request_id)?;
                } else {
                    self.refund(at, request_id, Asks::All)?;
                }
            }
        }
        Ok(())
    }
}
