//! The kinds of job this machine can do: what each takes, does, and lets a buyer check.

mod confined;
mod params;
mod repo_index;
mod sandbox_run;
mod text;
mod types;

pub(crate) use confined::run_builtin;
pub use types::{
    About, Attachment, Caps, Context, Estimate, ExecuteError, Input, KindFuture, Named, Output,
    Param, Refusal, Request, Verdict,
};

/// One kind of job. Every kind is stateless and may run many times at once.
pub trait Kind: Send + Sync {
    fn about(&self) -> &'static About;

    /// Checks inputs and parameters, before any work and before any invoice. Pure and fast: blobs
    /// need not be there yet.
    fn validate(&self, request: &Request, caps: &Caps) -> Result<Estimate, Refusal>;

    /// Does the work. Ends early when the context's token is cancelled or the future is dropped.
    fn execute<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
    ) -> KindFuture<'a, Result<Output, ExecuteError>>;

    /// Content that a result's payload names by hash and that comes beside it: only what `request`
    /// asked for, and no more of it than `caps` let a job give. Why not, where it names other
    /// content: then nothing of it is to be fetched. A payload that does not read names nothing.
    fn attached(
        &self,
        request: &Request,
        caps: &Caps,
        payload: &[u8],
    ) -> Result<Vec<Named>, String> {
        let _ = (request, caps, payload);
        Ok(Vec::new())
    }

    /// Checks a result against the request it answers, as a buyer who holds the inputs.
    fn verify<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
        output: &'a Output,
    ) -> KindFuture<'a, Verdict>;
}

/// Every kind, in order of number.
pub fn all() -> [&'static dyn Kind; 3] {
    [&text::TextExtraction, &sandbox_run::SandboxRun, &repo_index::RepoIndex]
}

/// The kind with this NIP-90 request number.
pub fn find(kind: u16) -> Option<&'static dyn Kind> {
    all().into_iter().find(|candidate| candidate.about().kind == kind)
}
