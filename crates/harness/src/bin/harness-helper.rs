//! The helper alone: what tests of this crate start, since a test runner is no helper.

fn main() {
    harness::helper_main_if_asked();
    eprintln!("this program is only started by the sandbox");
    std::process::exit(2);
}
