//! Lines, requests, responses and the rendezvous file.

use domain::ErrorBody;
use interprocess::local_socket::{GenericFilePath, GenericNamespaced, Name, ToFsName, ToNsName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{io, path::Path};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A longer line ends the connection.
pub const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// Where a server listens and what opens it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Rendezvous {
    /// A path, or a pipe's name where sockets have no path.
    pub socket: String,
    pub token: String,
    pub pid: u32,
}

impl Rendezvous {
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::from)
    }

    pub(super) fn name(&self) -> io::Result<Name<'_>> {
        if cfg!(windows) {
            self.socket.as_str().to_ns_name::<GenericNamespaced>()
        } else {
            self.socket.as_str().to_fs_name::<GenericFilePath>()
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub jsonrpc: String,
    pub id: u64,
    pub method: String,
    #[serde(default)]
    pub params: Value,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Response {
    pub jsonrpc: String,
    pub id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// A JSON-RPC error; `data` carries what people are told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RpcError {
    pub code: i32,
    pub message: String,
    pub data: ErrorBody,
}

impl Response {
    pub fn new(id: Option<u64>, outcome: Result<Value, ErrorBody>) -> Self {
        let (result, error) = match outcome {
            Ok(value) => (Some(value), None),
            Err(data) => {
                let code = match data.code.as_ref() {
                    "parse_error" => -32700,
                    "invalid_request" => -32600,
                    "unknown_method" => -32601,
                    "invalid_params" => -32602,
                    _ => -32000,
                };
                (None, Some(RpcError { code, message: data.message.clone(), data }))
            }
        };
        Self { jsonrpc: "2.0".into(), id, result, error }
    }

    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_else(|_| {
            br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"the answer could not be written","data":{"code":"internal","message":"the answer could not be written"}}}"#.to_vec()
        });
        line.push(b'\n');
        line
    }
}

/// Reads one line of at most `MAX_LINE_BYTES`; `None` at the end of the stream.
pub(super) async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    line: &mut Vec<u8>,
) -> io::Result<Option<()>> {
    line.clear();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(if line.is_empty() { None } else { Some(()) });
        }
        let (take, ended) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (available.len(), false),
        };
        line.extend_from_slice(&available[..take]);
        reader.consume(take);
        if line.len() > MAX_LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
        }
        if ended {
            line.pop();
            return Ok(Some(()));
        }
    }
}
