//! The referee's inner loops: checkers, histories, histograms, scenario files.
//!
//! `OUTBOX_HARNESS_BENCH_EVENTS` sets the size of the history (default 1,000,000 events, so that what
//! is the same for every history does not show).

mod common;

use common::clean::clean;
use common::counting::{Counting, counted};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::{checkers, history as histories, measure, scenario};
use std::hint::black_box;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A large history is gone through a few times; more would show the same.
const SAMPLES: usize = 10;
const WARM_UP: Duration = Duration::from_secs(1);

fn events() -> u32 {
    let asked = std::env::var("OUTBOX_HARNESS_BENCH_EVENTS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

fn checking(c: &mut Criterion) {
    let events = events();
    let (history, held, _) = counted(|| clean(events));
    let (_, _, most) = counted(|| black_box(checkers::judge(&history, &[])));
    let an_event = |bytes: usize| bytes as f64 / f64::from(events.max(1));
    println!("history: {:.1} bytes an event", an_event(held));
    println!(
        "checkers: {:.1} bytes an event beyond the history, at most",
        an_event(most)
    );
    let mut group = c.benchmark_group("checkers");
    group.sample_size(SAMPLES).warm_up_time(WARM_UP);
    group.throughput(Throughput::Elements(events.into()));
    group.bench_function("judge", |b| {
        b.iter(|| black_box(checkers::judge(&history, &[])));
    });
    group.finish();
}

fn keeping(c: &mut Criterion) {
    let events = events();
    let history = clean(events);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut group = c.benchmark_group("history");
    group.sample_size(SAMPLES).warm_up_time(WARM_UP);
    group.throughput(Throughput::Elements(events.into()));
    group.bench_function("save", |b| {
        b.iter(|| histories::save(&history, folder.path()).expect("a history can be saved"));
    });
    histories::save(&history, folder.path()).expect("a history can be saved");
    group.bench_function("load", |b| {
        b.iter(|| histories::load(folder.path()).expect("a history can be loaded"));
    });
    group.finish();
}

fn recording(c: &mut Criterion) {
    let values: Vec<i64> = (0..10_000_i64)
        .map(|n| (n * 7_919) % 50_000_000 + 1_000)
        .collect();
    let mut group = c.benchmark_group("histogram");
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("record", |b| {
        b.iter_batched(
            measure::Recorder::new,
            |mut recorder| {
                for value in &values {
                    recorder.record_ns(*value);
                }
                recorder
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn parsing(c: &mut Criterion) {
    let text = include_str!("../../scenarios/broker-outage.toml");
    c.bench_function("scenario/parse", |b| {
        b.iter(|| scenario::parse("broker-outage.toml", black_box(text)).expect("it is valid"));
    });
}

criterion_group!(benches, checking, keeping, recording, parsing);
criterion_main!(benches);
