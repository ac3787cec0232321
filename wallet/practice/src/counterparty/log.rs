//! The node's log lines, as part of this program's log.

use ldk_node::logger::{LogLevel, LogRecord, LogWriter};

pub struct ToTracing;

impl LogWriter for ToTracing {
    fn log(&self, record: LogRecord<'_>) {
        let LogRecord { level, args, module_path, line } = record;
        match level {
            // LDK calls peers that are away, and other everyday things, errors.
            LogLevel::Error | LogLevel::Warn => {
                tracing::debug!(target: "ldk", module_path, line, "{args}");
            }
            LogLevel::Info | LogLevel::Debug => {
                tracing::trace!(target: "ldk", module_path, line, "{args}");
            }
            LogLevel::Gossip | LogLevel::Trace => {}
        }
    }
}
