//! The referee's inner loops: checkers, histories, histograms, scenario files.
//!
//! `OUTBOX_HARNESS_BENCH_EVENTS` sets the size of the history (default 300,000 events).

mod history;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::{checkers, history as histories, measure, scenario};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is allocated, and the most that ever was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(
            NOW.fetch_add(layout.size(), Relaxed) + layout.size(),
            Relaxed,
        );
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn events() -> u32 {
    let asked = std::env::var("OUTBOX_HARNESS_BENCH_EVENTS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(300_000)
}

fn checking(c: &mut Criterion) {
    let events = events();
    let history = history::clean(events);
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    black_box(checkers::judge(&history, &[]));
    let bytes = MOST.load(Relaxed).saturating_sub(before);
    println!(
        "checkers: {:.1} bytes an event beyond the history, at most",
        bytes as f64 / f64::from(events.max(1))
    );
    let mut group = c.benchmark_group("checkers");
    group.sample_size(10);
    group.throughput(Throughput::Elements(events.into()));
    group.bench_function("judge", |b| {
        b.iter(|| black_box(checkers::judge(&history, &[])));
    });
    group.finish();
}

fn keeping(c: &mut Criterion) {
    let events = events();
    let history = history::clean(events);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut group = c.benchmark_group("history");
    group.sample_size(10);
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
