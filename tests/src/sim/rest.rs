//! The end of every history: faults stop, time goes on, and nothing may be left open.

use super::{
    action::{Action, Hearing, How, Money},
    invariants::{self, Checked},
    world::World,
};

/// How often time goes on before whatever still waits counts as waiting for ever.
const ROUNDS: usize = 60;
const STEP_SECS: u64 = 400;
/// More work than any history leaves behind; beyond it something feeds itself.
const MOVES: usize = 5_000;

impl World {
    /// Stops all faults, lets everything that can move do so, and checks what must hold at rest.
    pub fn rest(&mut self) -> Checked {
        self.tell(|| "faults stop".to_owned());
        for at in 0..self.desks.len() {
            self.desks[at].skew_secs = 0;
            self.desks[at].broken = false;
            self.relay_link(at, true)?;
            self.wallet_link(at, true)?;
        }
        self.step(&Action::Online { desk: 0 })?;
        for _ in 0..ROUNDS {
            self.drain()?;
            self.refund_all()?;
            self.retry_all()?;
            if self.is_quiet() {
                break;
            }
            self.later(STEP_SECS)?;
        }
        self.check_at_rest()
    }

    /// Everybody acts, in turn, until nobody can.
    pub fn drain(&mut self) -> Checked {
        for _ in 0..MOVES {
            if !self.move_once()? {
                return Ok(());
            }
        }
        Err(invariants::broken("nothing_waits_for_ever", "effects never come to an end"))
    }

    /// Everybody does one thing; false when nobody could.
    fn move_once(&mut self) -> Result<bool, invariants::Violation> {
        let mut moved = false;
        for at in 0..self.desks.len() {
            if !self.desks[at].ready().is_empty() {
                self.act(at, 0, How::Well)?;
                moved = true;
            }
            if self.desks[at].relay_up && !self.wanted(at).is_empty() {
                self.hear(at, 0, Hearing::Next)?;
                moved = true;
            }
            let notices = self.money.executors[at].notices.len() as u64;
            if self.desks[at].wallet_up && self.desks[at].read_to < notices {
                self.notices(at, 8)?;
                moved = true;
            }
        }
        if self.money.in_flight() > 0 {
            self.move_money(0, Money::Settle { fee_msat: 3 })?;
            moved = true;
        }
        Ok(moved)
    }

    fn is_quiet(&self) -> bool {
        (0..self.desks.len())
            .all(|at| invariants::nothing_waits_for_ever(at, &self.desks[at]).is_ok())
    }

    fn check_at_rest(&mut self) -> Checked {
        for (at, desk) in self.desks.iter().enumerate() {
            invariants::nothing_waits_for_ever(at, desk)?;
            invariants::ledger_equals_executor(at, desk, &self.money)?;
            invariants::one_receipt_each(desk)?;
            invariants::mirror_equals_executor(at, desk, &self.money)?;
        }
        invariants::never_pays_twice(&self.money)?;
        invariants::never_refunds_twice(&self.money)?;
        invariants::paid_job_has_result_or_explicit_failure(&self.desks, &self.money)?;
        for at in 0..self.desks.len() {
            self.crash(at)?;
        }
        Ok(())
    }
}
