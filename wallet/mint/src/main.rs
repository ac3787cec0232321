//! A real Cashu mint (`cdk`) on loopback, for tests: only the Lightning behind it is a stand-in.
//!
//! `pilothouse-practice-mint FOLDER` keeps its state in FOLDER, so that it can be restarted, writes
//! its address as the one line on standard output, and ends when its standard input ends. Beside the
//! mint's own API it serves `/practice/...`, by which a test moves the world around it.

mod lightning;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use cdk::{
    mint::{MintBuilder, MintMeltLimits},
    nuts::{CurrencyUnit, PaymentMethod},
};
use lightning::{Lightning, Mood};
use serde::{Deserialize, Serialize};
use std::{error::Error, path::PathBuf, sync::Arc};
use tokio::{io::AsyncReadExt, net::TcpListener};

/// The keys of practice money are no secret.
const SEED: [u8; 32] = [7; 32];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder for its state")?);
    let port: u16 = match arguments.next() {
        Some(port) => port.into_string().map_err(|_| "the port is no number")?.parse()?,
        None => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let lightning = Lightning::new();
    let router = mint(folder, &url, &lightning).await?.merge(practice(lightning));
    println!("{url}");
    let (mut input, mut ignored) = (tokio::io::stdin(), Vec::new());
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        _ = input.read_to_end(&mut ignored) => {}
    }
    Ok(())
}

async fn mint(
    folder: PathBuf,
    url: &str,
    lightning: &Arc<Lightning>,
) -> Result<Router, Box<dyn Error>> {
    let database = Arc::new(cdk_sqlite::MintSqliteDatabase::new(folder.join("mint.db")).await?);
    let mut builder = MintBuilder::new(Arc::clone(&database) as _)
        .with_name("practice".into())
        .with_urls(vec![url.to_owned()]);
    let limits = MintMeltLimits::new(1, 1_000_000_000);
    let backend = Arc::clone(lightning) as _;
    builder
        .add_payment_processor(CurrencyUnit::Sat, PaymentMethod::BOLT11, limits, backend)
        .await?;
    builder.set_unit_fee(&CurrencyUnit::Sat, 100)?;
    let mint = Arc::new(builder.build_with_seed(database, &SEED).await?);
    mint.start().await?;
    Ok(cdk_axum::create_mint_router(mint, vec!["bolt11".into()]).await?)
}

#[derive(Deserialize)]
struct Invoice {
    amount_msat: u64,
}

#[derive(Deserialize, Serialize)]
struct Bolt11 {
    bolt11: String,
}

#[derive(Deserialize)]
struct Weather {
    mood: Mood,
}

fn practice(lightning: Arc<Lightning>) -> Router {
    Router::new()
        .route("/practice/invoice", post(outside_invoice))
        .route("/practice/pay", post(outside_pays))
        .route("/practice/mood", post(set_mood))
        .with_state(lightning)
}

/// An invoice of someone else.
async fn outside_invoice(
    State(lightning): State<Arc<Lightning>>,
    Json(invoice): Json<Invoice>,
) -> Result<Json<Bolt11>, StatusCode> {
    let bolt11 = lightning.outside_invoice(invoice.amount_msat);
    bolt11.map(|bolt11| Json(Bolt11 { bolt11 })).map_err(|_| StatusCode::BAD_REQUEST)
}

/// Someone else pays an invoice of the mint.
async fn outside_pays(
    State(lightning): State<Arc<Lightning>>,
    Json(invoice): Json<Bolt11>,
) -> StatusCode {
    if lightning.outside_pays(&invoice.bolt11).await {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn set_mood(State(lightning): State<Arc<Lightning>>, Json(weather): Json<Weather>) {
    lightning.set_mood(weather.mood);
}
